// The trampoline between Lua and Swift, object boxes, and protected calls.
#include <string.h>

#include "internal.h"

static char type_key, unique_key;  // keys in metatables and in the registry

typedef struct act_box {
  void *object;
} act_box;

// ---- functions ------------------------------------------------------------------------------------------------------
static int call_swift(act_host *host, lua_State *L, void *context) {
  bool before = host->in_swift;
  host->in_swift = true;
  int count = host->callbacks.call(L, context);
  host->in_swift = before;
  return count;
}

static void collect(act_host *host, lua_State *L) {
  host->collect = false;
  lua_gc(L, LUA_GCCOLLECT);
  host->callbacks.collected(host->owner);
}

// No Swift frame is live when lua_error runs: Swift has returned a code, and the error is on the stack.
static int trampoline(lua_State *L) {
  act_host *host = act_gethost(L);
  void *context = lua_touserdata(L, lua_upvalueindex(1));
  if (!context) return luaL_error(L, "this function has lost its implementation");
  int arguments = lua_gettop(L);
  luaL_checkstack(L, 32, NULL);
  if (host->collect) collect(host, L);
  int count = call_swift(host, L, context);
  if (count == ACT_RETRY) {  // no room for a tensor: garbage may hold some
    lua_settop(L, arguments);
    collect(host, L);
    host->retry = true;
    count = call_swift(host, L, context);
  }
  if (count >= 0) {
    if (host->bytes > host->limit && !host->in_swift) {  // what was let through while Swift ran
      lua_gc(L, LUA_GCCOLLECT);
      if (host->bytes > host->limit) {
        host->refused = host->bytes - host->limit;
        lua_pushnil(L);
        act_memory_error(L);
        return lua_error(L);
      }
    }
    return count;
  }
  if (count == ACT_YIELD) return lua_yield(L, lua_gettop(L));
  if (act_iserror(L, -1)) {
    lua_pushliteral(L, "kind");
    lua_rawget(L, -2);
    const char *kind = lua_tostring(L, -1);
    if (kind && !strcmp(kind, "interrupted")) act_interrupt_taken(host);
    lua_pop(L, 1);
    act_decorate(L, 1, 0);
  }
  return lua_error(L);
}

bool act_take_retry(lua_State *L) {
  act_host *host = act_gethost(L);
  bool retry = host->retry;
  host->retry = false;
  return retry;
}

void act_pushfunction(lua_State *L, void *context) {
  lua_pushlightuserdata(L, context);
  lua_pushcclosure(L, trampoline, 1);
}

void *act_function_context(lua_State *L, int index) {
  if (lua_tocfunction(L, index) != trampoline || !lua_getupvalue(L, index, 1)) return NULL;
  void *context = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return context;
}

// ---- objects --------------------------------------------------------------------------------------------------------
void *act_object_type(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, -1, &type_key);
  void *type = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return type;
}

void *act_object(lua_State *L, int index) {
  return act_object_type(L, index) ? ((act_box *)lua_touserdata(L, index))->object : NULL;
}

void act_free_object(lua_State *L, int index) {
  if (!act_object_type(L, index)) return;
  act_box *box = lua_touserdata(L, index);
  void *object = box->object;
  box->object = NULL;
  if (object) act_gethost(L)->callbacks.release(object);
}

static int object_gc(lua_State *L) {
  act_free_object(L, 1);
  return 0;
}

void act_pushtype(lua_State *L, void *type) { lua_rawgetp(L, LUA_REGISTRYINDEX, type); }

static void set_raw(lua_State *L, const char *key) {  // value on top, table below
  lua_pushstring(L, key);
  lua_insert(L, -2);
  lua_rawset(L, -3);
}

void act_newtype(lua_State *L, void *type, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, type) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 16);
  lua_pushlightuserdata(L, type);
  lua_rawsetp(L, -2, &type_key);
  lua_pushstring(L, name);
  set_raw(L, "__name");
  lua_pushboolean(L, 0);
  set_raw(L, "__metatable");
  lua_pushcfunction(L, object_gc);
  set_raw(L, "__gc");
  lua_pushcfunction(L, object_gc);
  set_raw(L, "__close");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, type);
}

static void push_unique_table(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &unique_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  set_raw(L, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &unique_key);
}

void act_pushobject(lua_State *L, void *object, void *type, bool unique) {
  act_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->object = object;
  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
  lua_setmetatable(L, -2);
  if (unique) {
    push_unique_table(L);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, object);
    lua_pop(L, 1);
  }
}

bool act_pushexisting(lua_State *L, void *object) {
  push_unique_table(L);
  lua_rawgetp(L, -1, object);
  lua_remove(L, -2);
  if (lua_type(L, -1) == LUA_TUSERDATA && act_object(L, -1) == object) return true;
  lua_pop(L, 1);
  return false;
}

static int object_index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  lua_pushvalue(L, 2);
  bool getter = lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL;
  if (!getter) lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  return 1;
}

void act_pushindex(lua_State *L) { lua_pushcclosure(L, object_index, 3); }

// ---- protected calls ------------------------------------------------------------------------------------------------
int act_pcall(lua_State *L, int nargs, int nresults) {
  act_host *host = act_gethost(L);
  bool before = host->in_swift;
  int base = lua_gettop(L) - nargs;
  lua_checkstack(L, 8);
  lua_pushcfunction(L, act_message_handler);
  lua_insert(L, base);
  act_enter(host, L);
  host->in_swift = false;
  int status = lua_pcall(L, nargs, nresults, base);
  host->in_swift = true;
  if (status == LUA_ERRMEM) act_memory_error(L);
  else if (status == LUA_ERRERR && lua_type(L, -1) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    act_pusherror(L, "lua", text, length, 0);
    lua_remove(L, -2);
    act_decorate(L, 0, 0);
  }
  host->in_swift = before;
  act_leave(host);
  lua_remove(L, base);
  return status;
}

int act_load(lua_State *L, const char *text, size_t length, const char *name) {
  return luaL_loadbufferx(L, text, length, name, "t");
}

static int protected_loadfile(lua_State *L) {
  const char *path = lua_tostring(L, 1);
  int status = luaL_loadfilex(L, path, "t");
  lua_pushinteger(L, status);
  lua_insert(L, -2);
  return 2;
}

int act_loadfile(lua_State *L, const char *path) {
  lua_pushcfunction(L, protected_loadfile);
  if (path) lua_pushstring(L, path);
  else lua_pushnil(L);
  int status = act_pcall(L, 1, 2);
  if (status != LUA_OK) return status;
  status = (int)lua_tointeger(L, -2);
  lua_remove(L, -2);
  return status;
}

static int protected_tostring(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

int act_tostring(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, protected_tostring);
  lua_pushvalue(L, index);
  return act_pcall(L, 1, 1);
}

static int protected_gettable(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

int act_gettable(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, protected_gettable);
  lua_insert(L, -2);
  lua_pushvalue(L, index);
  lua_insert(L, -2);
  return act_pcall(L, 2, 1);
}

static int protected_keys(lua_State *L) {
  lua_Integer limit = lua_tointeger(L, 2), count = 0;
  lua_settop(L, 1);
  lua_createtable(L, 0, 0);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    if (++count <= limit) {
      lua_pushvalue(L, -1);
      lua_rawseti(L, 2, count);
    }
    if (count >= INT32_MAX) break;
  }
  lua_settop(L, 2);
  lua_pushinteger(L, count);
  return 2;
}

int act_keys(lua_State *L, int index, int limit) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, protected_keys);
  lua_pushvalue(L, index);
  lua_pushinteger(L, limit);
  return act_pcall(L, 2, 2);
}

bool act_stray_key(lua_State *L, int index, lua_Integer count) {
  index = lua_absindex(L, index);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    // What table.pack adds says nothing new.
    bool is_length = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "n") == 0 && lua_isinteger(L, -1) &&
                     lua_tointeger(L, -1) == count;
    lua_pop(L, 1);
    if (is_length) continue;
    if (!lua_isinteger(L, -1)) return true;
    lua_Integer key = lua_tointeger(L, -1);
    if (key < 1 || key > count) return true;
  }
  return false;
}
