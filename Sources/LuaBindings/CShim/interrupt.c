// Ctrl-C in three steps. The handler sets the engine's flag and hooks every running Lua thread; an idle program pays
// nothing. `lua_sethook` may be called from a signal handler by design.
#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ckernels.h"
#include "internal.h"

static act_host *volatile active;
static struct termios terminal;
static volatile sig_atomic_t terminal_saved;
static char restore_text[64];
static void (*volatile leave_process)(int);

static void hook(lua_State *L, lua_Debug *frame);

static void set_hooks(act_host *host, lua_Hook function, int instructions) {
  int count = host->thread_count;
  if (count > ACT_THREADS) count = ACT_THREADS;
  // Only counted instructions: call hooks would also fire for message handlers and turn the error into another.
  for (int i = 0; i < count; i++) lua_sethook(host->threads[i], function, function ? LUA_MASKCOUNT : 0, instructions);
}

static void settle(act_host *host) {
  host->pending = 0;
  ck_interrupt_set(0);
  set_hooks(host, NULL, 0);
}

static void hook(lua_State *L, lua_Debug *frame) {
  (void)frame;
  act_host *host = act_gethost(L);
  if (!host->pending) {  // left over in a coroutine
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (host->signals < 2) settle(host);
  act_pusherror(L, "interrupted", "interrupted", 11, 0);
  act_decorate(L, 0, 0);
  lua_error(L);
}

void act_interrupt_taken(act_host *host) {
  if (host->signals == 1) settle(host);
}

void act_restore_terminal(void) {
  if (restore_text[0]) {
    ssize_t ignored = write(STDOUT_FILENO, restore_text, strlen(restore_text));
    (void)ignored;
  }
  if (terminal_saved) tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

static void handle(int signal) {
  int before = errno;
  act_host *host = active;
  if (host && host->depth > 0) {
    if (!pthread_equal(pthread_self(), host->thread)) {
      pthread_kill(host->thread, signal);
    } else if (host->signals >= 2) {
      act_restore_terminal();
      if (leave_process) leave_process(130);
      else _exit(130);
    } else {
      host->signals++;
      host->pending = 1;
      ck_interrupt_request();
      set_hooks(host, hook, 1);
    }
  }
  errno = before;
}

void act_interrupt_install(void) {
  if (!terminal_saved && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal) == 0) terminal_saved = 1;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
}

void act_interrupt_restore_text(const char *text) { strncpy(restore_text, text, sizeof restore_text - 1); }

void act_interrupt_set_leave(void (*leave)(int)) { leave_process = leave; }

void act_interrupt_defer(lua_State *L, int instructions) {
  act_host *host = act_gethost(L);
  if (host->signals != 1) return;
  host->pending = 1;  // also where a callback had taken it
  ck_interrupt_set(1);
  set_hooks(host, hook, instructions);
}

int act_interrupt_count(lua_State *L) { return act_gethost(L)->signals; }

void act_enter(act_host *host, lua_State *L) {
  if (host->depth == 0) {
    host->threads[0] = L;
    host->thread_count = 1;
    host->signals = 0;
    host->pending = 0;
    host->thread = pthread_self();
    host->outer = active;
    active = host;
  }
  host->depth++;
}

void act_leave(act_host *host) {
  host->depth--;
  if (host->depth > 0) return;
  if (host->signals > 0) settle(host);
  host->thread_count = 0;
  active = host->outer;
}

void act_thread_push(act_host *host, lua_State *co) {
  int count = host->thread_count;
  if (count < ACT_THREADS) host->threads[count] = co;
  host->thread_count = count + 1;
  if (host->pending) lua_sethook(co, hook, LUA_MASKCOUNT, 1);
}

void act_thread_pop(act_host *host) { host->thread_count = host->thread_count - 1; }
