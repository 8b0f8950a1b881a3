// coroutine.resume, wrap and close keep the list of running threads, so that Ctrl-C reaches code inside coroutines.
#include "internal.h"

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (!co) luaL_typeerror(L, 1, "coroutine");
  return co;
}

// Calls the original function (upvalue 1), whose first argument is a coroutine, with that coroutine in the list.
static int tracked(lua_State *L) {
  lua_State *co = check_thread(L);
  act_host *host = act_gethost(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  act_thread_push(host, co);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  act_thread_pop(host);
  if (status != LUA_OK) return lua_error(L);
  if (!lua_toboolean(L, 1) && lua_gettop(L) >= 2) {  // false, error
    lua_settop(L, 2);
    bool memory = lua_type(L, 2) == LUA_TSTRING && lua_status(co) == LUA_ERRMEM;
    act_caught(L, memory ? LUA_ERRMEM : LUA_ERRRUN);
  }
  return lua_gettop(L);
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  act_host *host = act_gethost(L);
  int count = lua_gettop(L), results = 0;
  if (!lua_checkstack(co, count)) return luaL_error(L, "too many arguments to resume");
  lua_xmove(L, co, count);
  act_thread_push(host, co);
  int status = lua_resume(co, L, count, &results);
  if (status == LUA_OK || status == LUA_YIELD) {
    act_thread_pop(host);
    if (!lua_checkstack(L, results + 1)) {
      lua_pop(co, results);
      return luaL_error(L, "too many results to resume");
    }
    lua_xmove(co, L, results);
    return results;
  }
  int failed = lua_status(co);
  if (failed != LUA_OK && failed != LUA_YIELD) status = lua_resetthread(co);  // closes its variables
  act_thread_pop(host);
  lua_xmove(co, L, 1);
  act_caught(L, status);
  size_t length = 0;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (text && act_position_length(text, length) == 0) {  // stock Lua adds one for every coroutine
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

void act_open_coroutines(lua_State *L) {
  lua_getglobal(L, LUA_COLIBNAME);
  static const char *const names[] = {"resume", "close"};
  for (int i = 0; i < 2; i++) {
    lua_getfield(L, -1, names[i]);
    lua_pushcclosure(L, tracked, 1);
    lua_setfield(L, -2, names[i]);
  }
  lua_pushcfunction(L, wrap);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);
}
