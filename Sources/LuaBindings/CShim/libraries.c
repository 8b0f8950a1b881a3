// Replacements in Lua's own libraries: pcall that lets os.exit through, chunks as text only, os.exit that unwinds, and
// a debug library that can neither remove Ctrl-C nor confuse object boxes.
#include <string.h>

#include "internal.h"

void act_caught(lua_State *L, int status) {
  if (act_isexit(L, -1)) lua_error(L);
  if (status == LUA_ERRMEM) act_memory_error(L);
}

// ---- pcall, xpcall: as in lbaselib.c, with continuations so that coroutines may yield inside ------------------------
static int finish_pcall(lua_State *L, int status, lua_KContext extra) {
  if (status != LUA_OK && status != LUA_YIELD) {
    act_caught(L, status);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)extra;
}

static int protected_call(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
  return finish_pcall(L, status, 0);
}

static int forward_message(lua_State *L) {  // upvalue 1: the script's handler
  if (act_isexit(L, 1)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int protected_xcall(lua_State *L) {
  int count = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, forward_message, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);  // f, handler, true, f, arguments
  int status = lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, finish_pcall);
  return finish_pcall(L, status, 2);
}

// ---- chunks ---------------------------------------------------------------------------------------------------------
// load(chunk, name, mode, env) and loadfile(path, mode, env): upvalue 1 is the original, upvalue 2 the place of mode.
static int load_text(lua_State *L) {
  int place = (int)lua_tointeger(L, lua_upvalueindex(2));
  if (lua_gettop(L) < place) lua_settop(L, place);
  const char *mode = luaL_optstring(L, place, "t");
  if (!strchr(mode, 't')) {
    luaL_pushfail(L);
    lua_pushliteral(L, "binary chunks are not supported (mode must allow text)");
    return 2;
  }
  lua_pushliteral(L, "t");
  lua_replace(L, place);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int finish_dofile(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L) - 1;
}

static int dofile_text(lua_State *L) {
  const char *path = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, finish_dofile);
  return finish_dofile(L, 0, 0);
}

// package.searchers[2] for text: upvalue 1 is the package table.
static int search_lua(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushvalue(L, 1);
  if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
    return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1;  // what was tried
  lua_pop(L, 1);
  const char *path = lua_tostring(L, -1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, path, lua_tostring(L, -1));
  lua_insert(L, -2);
  return 2;
}

// ---- os.exit --------------------------------------------------------------------------------------------------------
static int exit_host(lua_State *L) {
  lua_Integer code = 0;
  if (lua_isboolean(L, 1)) code = lua_toboolean(L, 1) ? 0 : 1;
  else code = luaL_optinteger(L, 1, 0);
  act_set_exit_code(L, (int)(code & 0xff));
  act_pushexit(L);
  return lua_error(L);
}

// ---- debug ----------------------------------------------------------------------------------------------------------
static int hidden_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (act_object_type(L, 1) || act_iserror(L, 1)) lua_pushboolean(L, 0);
  else if (!lua_getmetatable(L, 1)) lua_pushnil(L);
  return 1;
}

// debug.setmetatable, setuservalue, setupvalue: not on boxes, and not on C functions. Upvalue 1 is the original.
static int guarded_debug(lua_State *L) {
  if (act_object_type(L, 1) || act_iserror(L, 1) || lua_iscfunction(L, 1))
    return luaL_error(L, "the debug library cannot change a %s of the host", luaL_typename(L, 1));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static void wrap_field(lua_State *L, const char *name, lua_CFunction replacement, int place) {
  lua_getfield(L, -1, name);
  lua_pushinteger(L, place);
  lua_pushcclosure(L, replacement, 2);
  lua_setfield(L, -2, name);
}

static void set_field(lua_State *L, const char *name, lua_CFunction replacement) {
  if (replacement) lua_pushcfunction(L, replacement);
  else lua_pushnil(L);
  lua_setfield(L, -2, name);
}

void act_open_libraries(lua_State *L) {
  lua_pushglobaltable(L);
  set_field(L, "pcall", protected_call);
  set_field(L, "xpcall", protected_xcall);
  set_field(L, "dofile", dofile_text);
  wrap_field(L, "load", load_text, 3);
  wrap_field(L, "loadfile", load_text, 2);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_STRLIBNAME);
  set_field(L, "dump", NULL);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_OSLIBNAME);
  set_field(L, "exit", exit_host);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_DBLIBNAME);
  set_field(L, "sethook", NULL);
  set_field(L, "getregistry", NULL);
  set_field(L, "debug", NULL);
  set_field(L, "setcstacklimit", NULL);
  set_field(L, "getmetatable", hidden_getmetatable);
  wrap_field(L, "setmetatable", guarded_debug, 0);
  wrap_field(L, "setuservalue", guarded_debug, 0);
  wrap_field(L, "setupvalue", guarded_debug, 0);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_lua, 1);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}
