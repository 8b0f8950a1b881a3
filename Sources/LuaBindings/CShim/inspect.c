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
static bool has_identity(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TTABLE: case LUA_TFUNCTION: case LUA_TUSERDATA: case LUA_TTHREAD: return true;
    default: return false;
  }
}

// Names of all values that globals lead to in a few steps, and copies of the tables among them. Level by level, so that a
// value has its shortest name, and of those the first in the alphabet: tables have no order of their own.
static int remember_all(lua_State *L) {
  enum { names = 1, fields, queue, depths, table, name, copy, key, value };
  for (int i = names; i <= depths; i++) lua_newtable(L);
  lua_pushglobaltable(L);
  lua_pushvalue(L, table);
  lua_pushliteral(L, "");
  lua_rawset(L, names);
  lua_pushvalue(L, table);
  lua_pushinteger(L, 0);
  lua_rawset(L, depths);
  lua_rawseti(L, queue, 1);
  lua_Integer count = 1;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_settop(L, depths);
    lua_rawgeti(L, queue, i);
    lua_pushvalue(L, table);
    lua_rawget(L, depths);
    lua_Integer depth = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (!lua_istable(L, table) || depth >= 4) continue;
    lua_pushvalue(L, table);
    lua_rawget(L, names);
    lua_createtable(L, 0, 8);
    lua_pushnil(L);
    while (lua_next(L, table)) {
      lua_pushvalue(L, key);
      lua_pushvalue(L, value);
      lua_rawset(L, copy);
      if (lua_type(L, key) == LUA_TSTRING && has_identity(L, value)) {
        const char *parent = lua_tostring(L, name);
        const char *own = lua_pushfstring(L, "%s%s%s", parent, *parent ? "." : "", lua_tostring(L, key));
        lua_pushvalue(L, value);
        bool is_new = lua_rawget(L, depths) == LUA_TNIL, is_better = is_new;
        if (!is_new && lua_tointeger(L, -1) == depth + 1) {
          lua_pushvalue(L, value);
          lua_rawget(L, names);
          is_better = strcmp(own, lua_tostring(L, -1)) < 0;
        }
        if (is_better) {
          lua_pushvalue(L, value);
          lua_pushstring(L, own);
          lua_rawset(L, names);
        }
        if (is_new) {
          lua_pushvalue(L, value);
          lua_pushinteger(L, depth + 1);
          lua_rawset(L, depths);
          lua_pushvalue(L, value);
          lua_rawseti(L, queue, ++count);
        }
      }
      lua_settop(L, key);
    }
    lua_pushvalue(L, table);
    lua_pushvalue(L, copy);
    lua_rawset(L, fields);
  }
  lua_settop(L, fields);
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
