/* Answers; see answer.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/answer.h"

#include "base/memory.h"
#include "resp/resp.h"
#include "resp/writer.h"
#include "script/sending.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Memory that a collection would not find: it counts, but no single reply stops a script. */
enum { CHARGE_MOST = 4 * 1024 * 1024 };

/* ---- what the bytes say ---- */

/* One value: its header line, and where what belongs to it begins. */
struct value {
    char type;
    const char *text; /* of the line; of a bulk, its content */
    size_t size;
    int64_t number;  /* an integer; elements of an aggregate; -1: null */
    const char *next; /* behind it, or its first element */
};

/* The number at the beginning of a line; the line ends it. */
static int64_t line_number(const char *text)
{
    bool minus = *text == '-';
    uint64_t number = 0;
    for (text += minus; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return (int64_t)(minus ? -number : number);
}

static struct value value_read(const char *bytes)
{
    const char *end = strchr(bytes, '\n');
    struct value value = {.type = *bytes, .text = bytes + 1, .size = (size_t)(end - bytes) - 2};
    value.number = line_number(value.text);
    value.next = end + 1;
    if (strchr("$=!", value.type) && value.number >= 0) {
        value.text = value.next;
        value.size = (size_t)value.number;
        value.next += value.size + 2;
        if (value.type == '=' && value.size >= 4) { /* "txt:" */
            value.text += 4;
            value.size -= 4;
        }
    } else if (value.type == '%' || value.type == '|') {
        value.number *= 2;
    }
    return value;
}

static struct value answer_value(const struct answer *answer)
{
    return value_read(answer->bytes + resp_attributes(answer->bytes, answer->size));
}

static bool is_aggregate(const struct value *value)
{
    return strchr("*%~>", value->type) && value->number >= 0;
}

static bool is_null(const struct value *value)
{
    return value->type == '_' || (strchr("$*", value->type) && value->number < 0);
}

static bool is_error(const struct value *value)
{
    return value->type == '-' || value->type == '!';
}

static const char *value_type(const struct value *value)
{
    if (is_null(value))
        return "null";
    switch (value->type) {
    case '$':
    case '=':
        return "string";
    case '+':
        return "status";
    case '-':
    case '!':
        return "error";
    case ':':
        return "integer";
    case '*':
        return "array";
    case '%':
        return "map";
    case '~':
        return "set";
    case ',':
        return "double";
    case '#':
        return "boolean";
    case '(':
        return "big_number";
    default:
        return "push";
    }
}

const char *answer_text(const struct answer *answer, size_t *size)
{
    struct value value = answer_value(answer);
    if (is_null(&value) || is_aggregate(&value))
        return NULL;
    *size = value.size;
    return value.text;
}

/* ---- other versions of the protocol ---- */

static void write_value(struct writer *writer, const struct value *value)
{
    if (is_null(value)) {
        writer_null(writer);
        return;
    }
    switch (value->type) {
    case '%':
        writer_map(writer, (size_t)value->number / 2);
        break;
    case '*':
    case '~':
    case '>':
        writer_array(writer, (size_t)value->number);
        break;
    case '#':
        writer_boolean(writer, *value->text == 't');
        break;
    case '$':
    case '=':
    case ',':
    case '(':
        writer_bulk(writer, value->text, value->size);
        break;
    case '!':
        writer_format(writer, "-%.*s\r\n", (int)value->size, value->text);
        break;
    default:
        writer_raw(writer, value->text - 1, value->size + 3);
    }
}

void answer_write(const struct answer *answer, struct writer *writer)
{
    const char *at = answer->bytes, *end = at + answer->size;
    if (answer->resp == writer->resp || (answer->resp != 3 && writer->resp != 3)) {
        writer_raw(writer, at, answer->size);
        return;
    }
    if (writer->resp == 3) {
        writer_values(writer, at, answer->size);
        return;
    }
    while (at < end) {
        at += resp_attributes(at, (size_t)(end - at));
        struct value value = value_read(at);
        write_value(writer, &value);
        at = value.next;
    }
}

/* ---- life ---- */

static void answer_leave(struct answer *answer)
{
    if (!answer->place)
        return;
    *answer->place = answer->next;
    if (answer->next)
        answer->next->place = answer->place;
    answer->place = NULL;
}

void answer_end(struct answer *answer)
{
    answer_leave(answer);
    answer->state->used -= answer->charged;
    answer->charged = 0;
    free(answer->memory);
    answer->memory = NULL;
    answer->bytes = NULL;
}

static int finalize(lua_State *L)
{
    struct answer *answer = lua_touserdata(L, 1);
    if (answer->sending)
        sending_forget(answer->sending);
    answer_end(answer);
    return 0;
}

static struct answer *answer_new(struct answers *answers, lua_State *L, size_t more, bool careful,
                                 uint8_t resp)
{
    struct answer *answer = lua_newuserdata(L, sizeof *answer + more);
    *answer = (struct answer){.state = answers->state, .resp = resp};
    lua_rawgeti(L, LUA_REGISTRYINDEX, careful ? answers->careful : answers->quick);
    lua_setmetatable(L, -2);
    return answer;
}

static void answer_keep(struct answer *answer, const struct reply *reply, struct answer **large)
{
    answer->size = reply->size;
    if (reply->give && *reply->give) {
        answer->memory = *reply->give;
        *reply->give = NULL;
    } else {
        answer->memory = xmalloc(reply->size);
        memcpy(answer->memory, reply->bytes, reply->size);
    }
    answer->bytes = answer->memory;
    answer->charged = reply->size < CHARGE_MOST ? reply->size : CHARGE_MOST;
    answer->state->used += answer->charged;
    if (reply->size < ANSWER_LARGE)
        return;
    answer->next = *large;
    answer->place = large;
    if (answer->next)
        answer->next->place = &answer->next;
    *large = answer;
}

struct answer *answer_push(struct answers *answers, lua_State *L, const struct reply *reply, uint8_t resp,
                           struct answer **large)
{
    bool is_large = reply->size >= ANSWER_LARGE;
    struct answer *answer = answer_new(answers, L, is_large ? 0 : reply->size, is_large, resp);
    if (is_large) {
        answer_keep(answer, reply, large);
        return answer;
    }
    char *own = (char *)(answer + 1);
    memcpy(own, reply->bytes, reply->size);
    answer->bytes = own;
    answer->size = reply->size;
    return answer;
}

struct answer *answer_push_open(struct answers *answers, lua_State *L, struct sending *sending, uint8_t resp)
{
    struct answer *answer = answer_new(answers, L, 0, true, resp);
    answer->sending = sending;
    return answer;
}

void answer_fill(struct answer *answer, const struct reply *reply, struct answer **large)
{
    answer->sending = NULL;
    answer_keep(answer, reply, large);
}

struct answer *answer_at(const struct answers *answers, lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    const void *meta = lua_topointer(L, -1);
    lua_pop(L, 1);
    if (meta != answers->quick_meta && meta != answers->careful_meta)
        return NULL;
    return lua_touserdata(L, index);
}

/* ---- for scripts ---- */

static const struct answers *own_answers(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static struct answer *check_self(lua_State *L, const char *method)
{
    struct answer *answer = answer_at(own_answers(L), L, 1);
    if (!answer)
        luaL_error(L, "this is no reply: write reply:%s(), with a colon", method);
    return answer;
}

static struct answer *check_there(lua_State *L, struct answer *answer)
{
    if (answer->sending)
        luaL_error(L, "the reply has not come: nydus.any, nydus.wait_all and reply:wait() wait for it");
    if (!answer->bytes)
        luaL_error(L, "reply is over: one of 32 KB or more ends with its flow; keep reply:str() instead");
    return answer;
}

/* reply:str() -> the text, or nil */
static int str(lua_State *L)
{
    size_t size;
    const char *text = answer_text(check_there(L, check_self(L, "str")), &size);
    if (text)
        lua_pushlstring(L, text, size);
    else
        lua_pushnil(L);
    return 1;
}

/* reply:int() -> the number of an integer or of a text that is one, or nil; beyond 2^53 it is rounded */
static int integer(lua_State *L)
{
    struct answer *answer = check_there(L, check_self(L, "int"));
    struct value value = answer_value(answer);
    size_t size = 0;
    const char *text = answer_text(answer, &size);
    size_t sign = text && size && *text == '-';
    bool digits = text && size > sign && size < 40 && strspn(text + sign, "0123456789") == size - sign;
    if (value.type == '#')
        lua_pushinteger(L, *value.text == 't');
    else if (digits)
        lua_pushnumber(L, strtod(text, NULL));
    else
        lua_pushnil(L);
    return 1;
}

/* #reply: the elements of an array, the bytes of a text */
static int length(lua_State *L)
{
    struct value value = answer_value(check_there(L, check_self(L, "str")));
    int64_t size = is_aggregate(&value) ? value.number : (int64_t)value.size;
    lua_pushnumber(L, is_null(&value) ? 0 : (lua_Number)size);
    return 1;
}

static int to_string(lua_State *L)
{
    struct answer *answer = check_self(L, "str");
    if (answer->sending || !answer->bytes) {
        lua_pushstring(L, answer->sending ? "reply (has not come)" : "reply (over)");
        return 1;
    }
    size_t size;
    const char *text = answer_text(answer, &size);
    struct value value = answer_value(answer);
    if (text)
        lua_pushlstring(L, text, size);
    else if (is_null(&value))
        lua_pushliteral(L, "null");
    else
        lua_pushfstring(L, "%s of %d", value_type(&value), (int)value.number);
    return 1;
}

static uint64_t value_size(const char *bytes, size_t size)
{
    struct resp_reply scan = {0};
    resp_scan_reply(&scan, bytes, size);
    return scan.size;
}

/* Element `wanted`, from 1 on; nil where there is none. Remembers its place: they are wanted in order. */
static int element(lua_State *L, struct answer *answer, lua_Number wanted)
{
    struct value value = answer_value(check_there(L, answer));
    if (!is_aggregate(&value) || !(wanted >= 1 && wanted <= (lua_Number)value.number)) {
        lua_pushnil(L);
        return 1;
    }
    uint32_t number = (uint32_t)wanted;
    if (!answer->seen || number < answer->seen) {
        answer->seen = 1;
        answer->seen_at = (size_t)(value.next - answer->bytes);
    }
    const char *at = answer->bytes + answer->seen_at;
    for (; answer->seen < number; answer->seen++)
        at += value_size(at, answer->size - (size_t)(at - answer->bytes));
    answer->seen_at = (size_t)(at - answer->bytes);
    uint64_t size = value_size(at, answer->size - answer->seen_at);
    struct reply part = {.bytes = at, .size = size};
    struct answer **list = answer->place ? &answer->next : NULL, *none = NULL;
    answer_push((struct answers *)own_answers(L), L, &part, answer->resp, list ? list : &none);
    return 1;
}

/* reply.field, reply:method, reply[i]; the second upvalue has the methods */
static int get(lua_State *L)
{
    struct answer *answer = check_self(L, "str");
    if (lua_type(L, 2) == LUA_TNUMBER)
        return element(L, answer, lua_tonumber(L, 2));
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (!lua_isnil(L, -1))
        return 1;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    if (!strcmp(name, "done")) {
        lua_pushboolean(L, !answer->sending);
        return 1;
    }
    struct value value = answer_value(check_there(L, answer));
    if (!strcmp(name, "type"))
        lua_pushstring(L, value_type(&value));
    else if (!strcmp(name, "ok"))
        lua_pushboolean(L, !is_error(&value));
    else if (!strcmp(name, "is_error"))
        lua_pushboolean(L, is_error(&value));
    else if (!strcmp(name, "is_null"))
        lua_pushboolean(L, is_null(&value));
    else
        return luaL_error(L, "a reply has no field '%s' (it has type, ok, is_error, is_null, done, str(), "
                             "int(), wait() and the elements 1, 2 …)", name);
    return 1;
}

static int refuse(lua_State *L)
{
    return luaL_error(L, "a reply cannot be changed");
}

/* The table of methods is on top of the stack, and stays there. */
static int make_meta(lua_State *L, struct answers *answers, bool careful)
{
    static const luaL_Reg events[] = {
        {"__len", length}, {"__tostring", to_string}, {"__newindex", refuse}, {NULL, NULL}};
    lua_createtable(L, 0, 6);
    for (const luaL_Reg *event = events; event->name; event++) {
        lua_pushlightuserdata(L, answers);
        lua_pushcclosure(L, event->func, 1);
        lua_setfield(L, -2, event->name);
    }
    lua_pushlightuserdata(L, answers);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, get, 2);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (careful) {
        lua_pushcfunction(L, finalize);
        lua_setfield(L, -2, "__gc");
    }
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static const void *meta_of(lua_State *L, int reference)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    const void *meta = lua_topointer(L, -1);
    lua_pop(L, 1);
    return meta;
}

void answers_init(struct answers *answers, struct state *state)
{
    lua_State *L = state->L;
    answers->state = state;
    lua_createtable(L, 0, 4);
    lua_pushlightuserdata(L, answers);
    lua_pushcclosure(L, str, 1);
    lua_setfield(L, -2, "str");
    lua_pushlightuserdata(L, answers);
    lua_pushcclosure(L, integer, 1);
    lua_setfield(L, -2, "int");
    answers->quick = make_meta(L, answers, false);
    answers->careful = make_meta(L, answers, true);
    answers->quick_meta = meta_of(L, answers->quick);
    answers->careful_meta = meta_of(L, answers->careful);
}
