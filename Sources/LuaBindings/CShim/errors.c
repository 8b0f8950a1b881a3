// Error objects: tables with `message`, `kind`, `where`, `traceback` and `cause`, whose tostring is `where: message`.
#include <stdio.h>
#include <string.h>

#include "internal.h"

static char error_key, exit_key, traceback_key, where_key;  // addresses in the registry
static lua_CFunction raise_function;                         // `error` of the base library

bool act_iserror(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static void set_string(lua_State *L, int table, const char *key, const char *text, size_t length) {
  lua_pushstring(L, key);
  lua_pushlstring(L, text, length);
  lua_rawset(L, table);
}

void act_pusherror(lua_State *L, const char *kind, const char *message, size_t length, int cause) {
  lua_createtable(L, 0, 5);
  int object = lua_gettop(L);
  set_string(L, object, "kind", kind, strlen(kind));
  set_string(L, object, "message", message, length);
  if (cause) {
    lua_pushliteral(L, "cause");
    lua_pushvalue(L, cause);
    lua_rawset(L, object);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  lua_setmetatable(L, object);
}

void act_pushexit(lua_State *L) { lua_pushlightuserdata(L, &exit_key); }
bool act_isexit(lua_State *L, int index) {
  return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &exit_key;
}
int act_exit_code(lua_State *L) { return act_gethost(L)->exit_code; }
void act_set_exit_code(lua_State *L, int code) { act_gethost(L)->exit_code = code; }

// Pushes the traceback of L and of the coroutines that wait for it.
static void push_traceback(lua_State *L, int level) {
  act_host *host = act_gethost(L);
  luaL_traceback(L, L, NULL, level);
  int position = host->thread_count;
  if (position > ACT_THREADS) position = ACT_THREADS;
  while (position > 0 && host->threads[position - 1] != L) position--;
  for (int i = position - 1; i > 0; i--) {
    lua_State *below = host->threads[i - 1];
    if (below == L) continue;
    lua_pushliteral(L, "\nresumed from:\n");
    luaL_traceback(L, below, NULL, 0);
    lua_concat(L, 3);
  }
}

// Pushes "file:line" of the innermost Lua function at or above `level`; false when there is none.
static bool push_where(lua_State *L, int level) {
  lua_Debug frame;
  for (int i = level; i < level + 32 && lua_getstack(L, i, &frame); i++) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline > 0) {
      lua_pushfstring(L, "%s:%d", frame.short_src, frame.currentline);
      return true;
    }
  }
  return false;
}

static bool has_field(lua_State *L, int object, const char *key) {
  lua_pushstring(L, key);
  bool found = lua_rawget(L, object) != LUA_TNIL;
  lua_pop(L, 1);
  return found;
}

void act_decorate(lua_State *L, int level, int trace) {
  if (!act_iserror(L, -1)) return;
  luaL_checkstack(L, 8, NULL);
  int object = lua_gettop(L);
  bool raised = has_field(L, object, "traceback");
  if (!raised && !has_field(L, object, "where") && push_where(L, level)) {
    lua_pushliteral(L, "where");
    lua_insert(L, -2);
    lua_rawset(L, object);
  }
  if (!raised) {
    lua_pushliteral(L, "traceback");
    push_traceback(L, trace);
    lua_rawset(L, object);
  }
}

static void readable(char *out, size_t size, size_t bytes) {
  if (bytes >= 1000000000) snprintf(out, size, "%.1f GB", (double)bytes / 1e9);
  else if (bytes >= 1000000) snprintf(out, size, "%.1f MB", (double)bytes / 1e6);
  else snprintf(out, size, "%.1f kB", (double)bytes / 1e3);
}

void act_memory_error(lua_State *L) {
  act_host *host = act_gethost(L);
  bool before = host->in_swift;
  host->in_swift = true;  // the few bytes of this object are let through
  char refused[32], bytes[32], limit[32], text[200];
  readable(refused, sizeof refused, host->refused);
  readable(bytes, sizeof bytes, host->bytes);
  readable(limit, sizeof limit, host->limit);
  int length = snprintf(text, sizeof text,
                        "not enough memory: Lua's heap holds %s of at most %s, and %s more were asked for", bytes,
                        limit, refused);
  lua_pop(L, 1);
  act_pusherror(L, "memory", text, (size_t)length, 0);
  act_decorate(L, 0, 0);
  host->in_swift = before;
}

size_t act_position_length(const char *text, size_t length) {
  for (size_t i = 1; i < length && text[i] != '\n'; i++) {
    if (text[i] != ':') continue;
    size_t digits = i + 1;
    while (digits < length && text[digits] >= '0' && text[digits] <= '9') digits++;
    if (digits > i + 1 && digits + 1 < length && text[digits] == ':' && text[digits + 1] == ' ') return digits;
  }
  return 0;
}

// Whether the value at hand was thrown by `error`, which adds a position unless the script asked for none.
static bool is_raised_by_script(lua_State *L) {
  lua_Debug frame;
  if (!lua_getstack(L, 1, &frame)) return false;
  lua_getinfo(L, "f", &frame);
  bool same = lua_tocfunction(L, -1) == raise_function;
  lua_pop(L, 1);
  return same;
}

int act_message_handler(lua_State *L) {
  if (act_isexit(L, 1)) return 1;
  if (lua_type(L, 1) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, 1, &length);
    size_t position = act_position_length(text, length);
    size_t start = position ? position + 2 : 0;
    act_pusherror(L, "lua", text + start, length - start, 0);
    // "" says that there is none, and that none is to be looked for.
    if (position || is_raised_by_script(L)) set_string(L, 2, "where", text, position);
    act_decorate(L, 1, 1);
    return 1;
  }
  if (act_iserror(L, 1)) {
    act_decorate(L, 1, 1);
    return 1;
  }
  push_traceback(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  if (!push_where(L, 1)) lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &where_key);
  return 1;
}

void act_pushwhere(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &where_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &where_key);
}

void act_pushtraceback(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
}

static int error_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushliteral(L, "where");
  size_t length = 0;
  if (lua_rawget(L, 1) == LUA_TSTRING) lua_tolstring(L, 2, &length);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  luaL_tolstring(L, 3, NULL);
  if (length > 0) lua_pushfstring(L, "%s: %s", lua_tostring(L, 2), lua_tostring(L, 4));
  return 1;
}

static int error_concat(lua_State *L) {
  lua_settop(L, 2);
  luaL_tolstring(L, 1, NULL);
  luaL_tolstring(L, 2, NULL);
  lua_concat(L, 2);
  return 1;
}

void act_open_errors(lua_State *L) {
  lua_getglobal(L, "error");
  raise_function = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, error_concat);
  lua_setfield(L, -2, "__concat");
  lua_pushliteral(L, "error");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}
