/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_keys.c - from the state file's text to JSON whose objects have the keys and types
 * that they should have; whoever finds his file refused is told the key.
 */
#include "dshard/error.h"
#include "dshard/state.h"
#include "dshard/utf8.h"
#include "state_json.h"

#include <assert.h>

enum { NAME_SHOWN = 40 };

struct key {
    const char *name;
    json_type type; /* JSON_TRUE: true or false; JSON_NULL: null or an object */
};

static const struct key root_keys[] = {
    {"checked_at", JSON_INTEGER},  {"digest", JSON_STRING},
    {"format", JSON_INTEGER},      {"frozen", JSON_NULL},
    {"generation", JSON_INTEGER},  {"history", JSON_ARRAY},
    {"operation", JSON_NULL},      {"replicas", JSON_INTEGER},
    {"route_prefix", JSON_STRING}, {"scheme", JSON_STRING},
    {"servers", JSON_ARRAY},       {"source", JSON_STRING},
    {"written_at", JSON_INTEGER},  {"written_by", JSON_STRING},
};
static const struct key server_keys[] = {
    {"address", JSON_STRING},     {"flaps", JSON_ARRAY},    {"health", JSON_STRING},
    {"hold_until", JSON_INTEGER}, {"intent", JSON_STRING},  {"member", JSON_TRUE},
    {"since", JSON_INTEGER},      {"weight", JSON_INTEGER}, {"why", JSON_STRING},
};
static const struct key change_keys[] = {
    {"added", JSON_ARRAY},        {"at", JSON_INTEGER},        {"cause", JSON_STRING},
    {"generation", JSON_INTEGER}, {"moved_ppm", JSON_INTEGER}, {"removed", JSON_ARRAY},
};
static const struct key frozen_keys[] = {{"reason", JSON_STRING},
                                         {"since", JSON_INTEGER}};
static const struct key operation_keys[] = {{"by", JSON_STRING},
                                            {"kind", JSON_STRING},
                                            {"since", JSON_INTEGER},
                                            {"step", JSON_STRING}};

static const struct {
    const struct key *keys;
    size_t n;
} objects[] = {
    [DS_STATE_ROOT] = {root_keys, DS_COUNT(root_keys)},
    [DS_STATE_SERVER] = {server_keys, DS_COUNT(server_keys)},
    [DS_STATE_CHANGE] = {change_keys, DS_COUNT(change_keys)},
    [DS_STATE_FROZEN] = {frozen_keys, DS_COUNT(frozen_keys)},
    [DS_STATE_OPERATION] = {operation_keys, DS_COUNT(operation_keys)},
};

static const char *words_for(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a whole number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null or an object";
}

static bool is_of(const json_t *value, json_type type)
{
    if (type == JSON_TRUE)
        return json_is_boolean(value);
    if (type == JSON_NULL)
        return json_is_null(value) || json_is_object(value);
    return json_typeof(value) == type;
}

static int check_keys(json_t *json, enum ds_state_object object, struct ds_error *err)
{
    const struct key *keys = objects[object].keys;
    size_t n = objects[object].n;
    const char *name;
    json_t *value;

    if (!json_is_object(json))
        return ds_fail(err, DS_E_FORMAT, "an object is expected");
    for (size_t i = 0; i < n; i++) {
        value = json_object_get(json, keys[i].name);
        if (!value)
            return ds_fail(err, DS_E_FORMAT, "\"%s\" is missing", keys[i].name);
        if (!is_of(value, keys[i].type))
            return ds_fail(err, DS_E_FORMAT, "\"%s\" wants %s", keys[i].name,
                           words_for(keys[i].type));
    }
    json_object_foreach(json, name, value)
    {
        size_t i = 0;

        while (i < n && strcmp(keys[i].name, name) != 0)
            i++;
        if (i == n) {
            char shown[NAME_SHOWN];

            ds_utf8_clean(shown, sizeof shown, name, strlen(name));
            return ds_fail(err, DS_E_FORMAT, "\"%s\" is no key of it", shown);
        }
    }
    return 0;
}

int ds_state_unpack(json_t *json, enum ds_state_object object, struct ds_error *err,
                    const char *fmt, ...)
{
    va_list ap;
    int rc;

    if (check_keys(json, object, err) < 0)
        return -1;
    va_start(ap, fmt);
    rc = json_vunpack_ex(json, NULL, 0, fmt, ap);
    va_end(ap);
    assert(rc == 0); /* the types are right */
    return 0;
}

/* Newer formats may differ in anything but this key, so it is looked at first. */
static int check_format(const json_t *root, struct ds_error *err)
{
    const json_t *format = json_object_get(root, "format");

    if (!json_is_object(root))
        return ds_fail(err, DS_E_FORMAT, "it is no JSON object");
    if (!json_is_integer(format))
        return ds_fail(err, DS_E_FORMAT, "\"format\" is missing or no whole number");
    if (json_integer_value(format) > DS_STATE_FORMAT)
        return ds_fail(err, DS_E_NEWER,
                       "format %" JSON_INTEGER_FORMAT
                       " is newer than this dshard, which knows %d",
                       json_integer_value(format), DS_STATE_FORMAT);
    if (json_integer_value(format) < DS_STATE_FORMAT)
        return ds_fail(err, DS_E_FORMAT, "\"format\" is %" JSON_INTEGER_FORMAT,
                       json_integer_value(format));
    return 0;
}

json_t *ds_state_text_to_json(const char *text, size_t len, struct ds_error *err)
{
    DS_AUTO(json) json_t *root = NULL;
    json_error_t why;

    if (!len) {
        ds_fail(err, DS_E_FORMAT, "it is empty");
        return NULL;
    }
    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!root) {
        char words[JSON_ERROR_TEXT_LENGTH]; /* they may quote what they stumbled over */

        ds_utf8_clean(words, sizeof words, why.text, strlen(why.text));
        ds_fail(err, DS_E_FORMAT, "line %d, column %d: %s", why.line, why.column, words);
        return NULL;
    }
    return check_format(root, err) < 0 ? NULL : ds_steal(&root);
}
