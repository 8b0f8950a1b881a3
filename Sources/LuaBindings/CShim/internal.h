// What the files of this folder share.
#ifndef CSHIM_INTERNAL_H
#define CSHIM_INTERNAL_H
#include <pthread.h>
#include <signal.h>

#include "cshim.h"

enum { ACT_THREADS = 256 };  // Lua nests at most 200 C calls, hence fewer coroutines

/// One per state; every Lua thread of the state has its address in its extra space.
typedef struct act_host {
  lua_State *main;
  act_callbacks callbacks;
  void *owner;
  size_t bytes, limit, refused;  // heap now, at most, and the size that was refused last
  bool in_swift;                 // a Swift frame would be skipped by a longjmp: never fail an allocation
  bool collect;                  // collect before the next Swift function
  bool retry;                    // the Swift function about to run returned ACT_RETRY before
  bool warnings;
  char *warning;                 // pieces of an unfinished warning
  size_t warning_length;
  int exit_code;

  // Read and written by the signal handler.
  lua_State *volatile threads[ACT_THREADS];  // running coroutines, the main thread first
  volatile sig_atomic_t thread_count;
  volatile sig_atomic_t depth;    // nested entries from the host
  volatile sig_atomic_t signals;  // Ctrl-C since the outermost entry
  volatile sig_atomic_t pending;  // an interruption that nobody has raised yet
  pthread_t thread;               // the one that runs this state
  struct act_host *outer;         // the host that was active before this one was entered
} act_host;

static inline act_host *act_gethost(lua_State *L) { return *(act_host **)lua_getextraspace(L); }

// errors.c
/// The error object on top gets position and traceback, once. `level`: the first level that may be at fault; `trace`:
/// the first that the traceback shows.
void act_decorate(lua_State *L, int level, int trace);
/// Replaces the string "not enough memory" on top by an error object that names the sizes.
void act_memory_error(lua_State *L);
/// Length of "file:line" at the start of a message of Lua, 0 without.
size_t act_position_length(const char *text, size_t length);
int act_message_handler(lua_State *L);
void act_open_errors(lua_State *L);

// interrupt.c
void act_enter(act_host *host, lua_State *L);
void act_leave(act_host *host);
void act_thread_push(act_host *host, lua_State *co);
void act_thread_pop(act_host *host);
/// The engine has noticed Ctrl-C and its error is about to be raised: no second one from the hook.
void act_interrupt_taken(act_host *host);
void act_restore_terminal(void);

// libraries.c, coroutines.c
void act_open_libraries(lua_State *L);
void act_open_coroutines(lua_State *L);
/// After a caught error (on top of the stack): raises what must not be caught, names the sizes of a memory error.
void act_caught(lua_State *L, int status);

#endif
