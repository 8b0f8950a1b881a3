// The C side of the Lua bridge. Only files of this folder raise Lua errors, and only when no Swift frame is live
// between the raise and the pcall that catches it. Swift calls the plain Lua API for what cannot raise (manual category
// `-`, and `m` because the allocator never fails while Swift runs) and the functions below for everything else.
#ifndef CSHIM_H
#define CSHIM_H
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- state ----------------------------------------------------------------------------------------------------------
/// What a Swift function returns to the trampoline when it does not return a count of results.
enum { ACT_ERROR = -1, ACT_YIELD = -2, ACT_RETRY = -3 };

typedef struct act_callbacks {
  /// Runs the Swift function behind `context`. It catches everything and returns a count of results or a code above.
  int32_t (*call)(lua_State *L, void *context);
  /// Gives back the reference that an object box holds.
  void (*release)(void *object);
  /// A warning of Lua: `warn`, errors in finalisers.
  void (*warn)(void *owner, const char *text, size_t length);
  /// A full collection has run because `act_request_collect` asked for it.
  void (*collected)(void *owner);
} act_callbacks;

/// A state whose heap holds at most `limit` bytes, or NULL without memory.
lua_State *act_newstate(act_callbacks callbacks, void *owner, size_t limit);
/// Opens the standard libraries with the replacements of `libraries.c`. A Lua status.
int act_openlibs(lua_State *L);
void act_close(lua_State *L);
void *act_owner(lua_State *L);
lua_State *act_main(lua_State *L);
size_t act_bytes(lua_State *L);
size_t act_limit(lua_State *L);
void act_set_limit(lua_State *L, size_t limit);
/// The next call of a Swift function collects garbage first.
void act_request_collect(lua_State *L);
/// A full collection now. Not from a finaliser.
void act_collect(lua_State *L);

/// Writes to C's standard output, in order with io.write, and flushes it. (Swift cannot name `stdout`.)
void act_write(const uint8_t *bytes, size_t count);
void act_flush(void);
/// What kept something written to C's standard output from getting there (an errno), or 0. Flushes first.
int act_output_error(void);

// ---- functions and objects ------------------------------------------------------------------------------------------
/// Whether the Swift function that runs has returned ACT_RETRY before. Answers once.
bool act_take_retry(lua_State *L);
/// Pushes a Lua function that runs `callbacks.call(L, context)`.
void act_pushfunction(lua_State *L, void *context);
/// The context of a function pushed by `act_pushfunction`, else NULL.
void *act_function_context(lua_State *L, int index);
/// Pushes a box that owns one reference to `object`, with one user value. `type` names a metatable made by
/// `act_newtype`; `unique` boxes are found again by `act_pushexisting`.
void act_pushobject(lua_State *L, void *object, void *type, bool unique);
/// Pushes the live unique box of `object`, or returns false.
bool act_pushexisting(lua_State *L, void *object);
/// The type of the box at `index`, or NULL when it is something else.
void *act_object_type(lua_State *L, int index);
/// The object of the box at `index`; NULL after it was freed.
void *act_object(lua_State *L, int index);
/// Releases the object of the box at `index`. Twice is fine.
void act_free_object(lua_State *L, int index);
/// Pushes the new metatable of `type`, with `__gc`, `__close`, `__name`, `__metatable` set, or the one that exists.
void act_newtype(lua_State *L, void *type, const char *name);
/// Pushes the metatable of `type`, or nil.
void act_pushtype(lua_State *L, void *type);
/// Pops fallback, getters and methods (in that order from the top) and pushes an `__index` function that tries methods,
/// calls getters, and leaves the rest to the fallback (a function of object and key).
void act_pushindex(lua_State *L);

// ---- protected calls ------------------------------------------------------------------------------------------------
/// Calls the function below `nargs` arguments. A Lua status; on failure one error value is on top: an error object with
/// a traceback when the error was a string or came from Swift, else whatever was thrown.
int act_pcall(lua_State *L, int nargs, int nresults);
/// Text chunks only. A Lua status; pushes the function or a message.
int act_load(lua_State *L, const char *text, size_t length, const char *name);
int act_loadfile(lua_State *L, const char *path);
/// Pushes `tostring` of the value at `index` (metamethods run), or an error value.
int act_tostring(lua_State *L, int index);
/// Replaces the key on top by the value of the container at `index` (metamethods run), or an error value.
int act_gettable(lua_State *L, int index);
/// Pushes a list of at most `limit` keys of the table at `index` in raw order and the count of all of its keys
/// (counting stops at 2^31). A Lua status.
int act_keys(lua_State *L, int index, int limit);
/// Pushes the first key of a table that is no integer from 1 to `count`; false, with nothing pushed, if there is none.
bool act_stray_key(lua_State *L, int index, lua_Integer count);

// ---- what a function consists of ------------------------------------------------------------------------------------
/// The stripped bytecode of the Lua function at `index`, to be freed by the caller; NULL for anything else.
uint8_t *act_dump(lua_State *L, int index, size_t *count);
/// Remembers every value that globals and their fields reach now as the host's. A Lua status.
int act_remember_host(lua_State *L);
/// Pushes the name of the host's value at `index` (`string.format`, empty for the table of globals), or returns false.
bool act_push_host_name(lua_State *L, int index);
/// Pushes a table of what the host's table at `index` held at first, or returns false.
bool act_push_host_fields(lua_State *L, int index);
/// Whether the value at `index` is the table of globals.
bool act_is_globals(lua_State *L, int index);

// ---- errors ---------------------------------------------------------------------------------------------------------
/// Pushes an error object; `cause` is an absolute index or 0. Position and traceback are added when it is raised.
void act_pusherror(lua_State *L, const char *kind, const char *message, size_t length, int cause);
bool act_iserror(lua_State *L, int index);
/// The value that unwinds to the host after `os.exit`; no pcall catches it.
void act_pushexit(lua_State *L);
bool act_isexit(lua_State *L, int index);
int act_exit_code(lua_State *L);
void act_set_exit_code(lua_State *L, int code);
/// Pushes the traceback of the last value that went through `act_pcall` uncaught and was no error object, or nil.
void act_pushtraceback(lua_State *L);
/// Pushes the place where that value was thrown, or nil.
void act_pushwhere(lua_State *L);

// ---- Ctrl-C ---------------------------------------------------------------------------------------------------------
/// Takes over SIGINT, without SA_RESTART, and remembers the terminal's settings.
/// First: the running code gets an `interrupted` error once, and the engine's flag is set. Second: every instruction
/// raises it, until the host is reached. Third: the terminal is restored and the process ends with 130.
void act_interrupt_install(void);
/// Bytes written to the terminal before the process ends at the third Ctrl-C. Copied, at most 63 bytes.
void act_interrupt_restore_text(const char *text);
/// What the third Ctrl-C calls instead of `_exit`; NULL for `_exit`. For tests.
void act_interrupt_set_leave(void (*leave)(int));
/// A function that returns its partial results after an interruption calls this: the error is raised by the next call
/// that polls the engine's flag, or after `instructions` Lua instructions.
void act_interrupt_defer(lua_State *L, int instructions);
/// How many times Ctrl-C was pressed since the host entered Lua.
int act_interrupt_count(lua_State *L);

#endif
