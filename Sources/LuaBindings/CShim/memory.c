// The state, its allocator with a limit, and warnings.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void fatal(const char *what) {
  fprintf(stderr, "acthost: %s\n", what);
  abort();
}

// NULL makes Lua collect, try again and raise; that longjmp must not skip Swift frames, so it is for Lua's own code.
static void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
  act_host *host = context;
  if (!block) old_size = 0;
  if (new_size == 0) {
    free(block);
    host->bytes -= old_size;
    return NULL;
  }
  size_t room = host->bytes < host->limit ? host->limit - host->bytes : 0;
  if (new_size > old_size && !host->in_swift && new_size - old_size > room) {
    host->refused = new_size;
    return NULL;
  }
  void *moved = realloc(block, new_size);
  if (!moved) {
    if (new_size <= old_size) return block;
    if (host->in_swift) fatal("out of memory");
    host->refused = new_size;
    return NULL;
  }
  host->bytes += new_size - old_size;
  return moved;
}

static int panic(lua_State *L) {
  const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "error object";
  fprintf(stderr, "acthost: unprotected Lua error: %s\n", message);
  act_restore_terminal();
  abort();
}

static void warn(void *context, const char *text, int to_be_continued) {
  act_host *host = context;
  if (!to_be_continued && host->warning_length == 0 && text[0] == '@') {
    if (!strcmp(text, "@on")) host->warnings = true;
    if (!strcmp(text, "@off")) host->warnings = false;
    return;
  }
  size_t length = strlen(text);
  char *grown = realloc(host->warning, host->warning_length + length + 1);
  if (!grown) return;
  memcpy(grown + host->warning_length, text, length + 1);
  host->warning = grown;
  host->warning_length += length;
  if (to_be_continued) return;
  if (host->warnings) host->callbacks.warn(host->owner, host->warning, host->warning_length);
  host->warning_length = 0;
}

lua_State *act_newstate(act_callbacks callbacks, void *owner, size_t limit) {
  act_host *host = calloc(1, sizeof *host);
  if (!host) return NULL;
  host->callbacks = callbacks;
  host->owner = owner;
  host->limit = SIZE_MAX;
  lua_State *L = lua_newstate(allocate, host);
  if (!L) {
    free(host);
    return NULL;
  }
  host->main = L;
  host->limit = limit;
  host->in_swift = true;
  host->warnings = true;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);  // lines of a long run reach a file or pipe as they are printed
  *(act_host **)lua_getextraspace(L) = host;
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, host);
  return L;
}

static int open_all(lua_State *L) {
  luaL_openlibs(L);
  act_open_errors(L);
  act_open_libraries(L);
  act_open_coroutines(L);
  return 0;
}

int act_openlibs(lua_State *L) {
  lua_pushcfunction(L, open_all);
  return lua_pcall(L, 0, 0, 0);
}

void act_close(lua_State *L) {
  act_host *host = act_gethost(L);
  lua_close(host->main);
  free(host->warning);
  free(host);
}

void *act_owner(lua_State *L) { return act_gethost(L)->owner; }
lua_State *act_main(lua_State *L) { return act_gethost(L)->main; }
size_t act_bytes(lua_State *L) { return act_gethost(L)->bytes; }
size_t act_limit(lua_State *L) { return act_gethost(L)->limit; }
void act_set_limit(lua_State *L, size_t limit) { act_gethost(L)->limit = limit; }
void act_request_collect(lua_State *L) { act_gethost(L)->collect = true; }
void act_collect(lua_State *L) { lua_gc(L, LUA_GCCOLLECT); }

static int output_error;  // of the first write that failed: a later one would say something else

void act_write(const uint8_t *bytes, size_t count) {
  errno = 0;
  if (fwrite(bytes, 1, count, stdout) < count && !output_error) output_error = errno ? errno : EIO;
}

void act_flush(void) {
  errno = 0;
  if (fflush(stdout) != 0 && !output_error) output_error = errno ? errno : EIO;
}

int act_output_error(void) {
  act_flush();
  if (!output_error && ferror(stdout)) output_error = EIO;
  return output_error;
}
