// What a Lua function consists of, and which values were there before any script: what the rows of a sweep depend on.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static char names_key, fields_key;  // addresses in the registry

// ---- bytecode -------------------------------------------------------------------------------------------------------
typedef struct buffer {
  uint8_t *bytes;
  size_t count, room;
} buffer;

static int append(lua_State *L, const void *bytes, size_t count, void *context) {
  (void)L;
  buffer *target = context;
  if (target->count + count > target->room) {
    size_t room = (target->count + count) * 2 + 1024;
    uint8_t *grown = realloc(target->bytes, room);
    if (!grown) return 1;
    target->bytes = grown;
    target->room = room;
  }
  memcpy(target->bytes + target->count, bytes, count);
  target->count += count;
  return 0;
}

uint8_t *act_dump(lua_State *L, int index, size_t *count) {
  *count = 0;
  if (!lua_isfunction(L, index) || lua_iscfunction(L, index)) return NULL;
  buffer code = {NULL, 0, 0};
  lua_pushvalue(L, index);
  int status = lua_dump(L, append, &code, 1);
  lua_pop(L, 1);
  if (status != 0) {
    free(code.bytes);
    return NULL;
  }
  *count = code.count;
  return code.bytes;
}

// ---- what belongs to the host ---------------------------------------------------------------------------------------
// Upvalues of this function: names (value to name) and fields (table to a copy of what it held).
static void remember(lua_State *L, int names, int fields, const char *name, int depth) {  // value on top, popped
  luaL_checkstack(L, 12, NULL);
  int value = lua_gettop(L);
  lua_pushvalue(L, value);
  if (lua_isnil(L, -1) || lua_rawget(L, names) != LUA_TNIL) {
    lua_settop(L, value - 1);
    return;
  }
  lua_pop(L, 1);
  switch (lua_type(L, value)) {
    case LUA_TTABLE: case LUA_TFUNCTION: case LUA_TUSERDATA: case LUA_TTHREAD: break;
    default: lua_settop(L, value - 1); return;
  }
  lua_pushvalue(L, value);
  lua_pushstring(L, name);
  lua_rawset(L, names);
  if (lua_istable(L, value) && depth < 4) {
    lua_pushvalue(L, value);
    lua_createtable(L, 0, 8);
    int copy = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, value)) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, copy);
      if (lua_type(L, -2) == LUA_TSTRING) {
        lua_pushfstring(L, "%s%s%s", name, *name ? "." : "", lua_tostring(L, -2));
        lua_insert(L, -2);
        remember(L, names, fields, lua_tostring(L, -2), depth + 1);  // pops the value
      }
      lua_pop(L, 1);
    }
    lua_rawset(L, fields);
  }
  lua_settop(L, value - 1);
}

static int remember_all(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushglobaltable(L);
  remember(L, 1, 2, "", 0);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &fields_key);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
  return 0;
}

int act_remember_host(lua_State *L) {
  lua_pushcfunction(L, remember_all);
  return lua_pcall(L, 0, 0, 0);
}

static bool push_remembered(lua_State *L, int index, const void *key) {
  index = lua_absindex(L, index);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TTABLE || lua_isnoneornil(L, index)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

bool act_push_host_name(lua_State *L, int index) { return push_remembered(L, index, &names_key); }
bool act_push_host_fields(lua_State *L, int index) { return push_remembered(L, index, &fields_key); }

bool act_is_globals(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  bool same = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return same;
}
