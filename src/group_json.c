/* SPDX-License-Identifier: Apache-2.0 */
/* see group_json.h */
#include "group_json.h"
#include "dshard/num.h"
#include "dshard/utf8.h"

struct ds_json ds_json_start(const char *text, size_t len, struct ds_error *err)
{
    return (struct ds_json){.at = text, .end = text + len, .begin = text, .err = err};
}

int ds_json_fail(const struct ds_json *json, const char *what)
{
    return ds_fail(json->err, DS_E_FORMAT, "byte %zu: %s%s",
                   (size_t)(json->at - json->begin) + 1, what,
                   json->at == json->end ? ", and the text ends" : "");
}

char ds_json_peek(struct ds_json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' ||
                                    *json->at == '\t' || *json->at == '\r'))
        json->at++;
    return json->at < json->end ? *json->at : '\0';
}

int ds_json_open(struct ds_json *json, char bracket)
{
    if (ds_json_peek(json) != bracket)
        return ds_json_fail(json, bracket == '{' ? "an object is expected"
                                                 : "an array is expected");
    json->at++;
    return 0;
}

/* Behind an item, or behind the opening bracket: 1 when an item follows. */
static int next(struct ds_json *json, bool is_first, char closing)
{
    char c = ds_json_peek(json);

    if (c == closing) {
        json->at++;
        return 0;
    }
    if (is_first)
        return 1;
    if (c != ',')
        return ds_json_fail(json, "a comma or the closing bracket is expected");
    json->at++;
    return 1;
}

int ds_json_item(struct ds_json *json, size_t *n)
{
    return next(json, (*n)++ == 0, ']');
}

static int key_and_colon(struct ds_json *json, struct ds_json_text *key)
{
    if (ds_json_string(json, key) < 0)
        return -1;
    if (ds_json_peek(json) != ':')
        return ds_json_fail(json, "a colon is expected");
    json->at++;
    return 0;
}

int ds_json_member(struct ds_json *json, size_t *n, struct ds_json_text *key)
{
    int more = next(json, (*n)++ == 0, '}');

    return more > 0 && key_and_colon(json, key) < 0 ? -1 : more;
}

/* At the backslash; moves behind the escape. */
static int skip_escape(struct ds_json *json)
{
    const char *at = json->at + 1;
    bool good = at < json->end && *at && strchr("\"\\/bfnrtu", *at);

    if (good && *at == 'u') {
        good = json->end - at > 4;
        for (int i = 1; good && i <= 4; i++)
            good = ds_num_hex(at[i]) >= 0;
        at += 4;
    }
    if (!good)
        return ds_json_fail(json, "this is no escape");
    json->at = at + 1;
    return 0;
}

int ds_json_string(struct ds_json *json, struct ds_json_text *string)
{
    if (ds_json_peek(json) != '"')
        return ds_json_fail(json, "a string is expected");
    string->at = ++json->at;
    for (;;) {
        const char *at = json->at, *end = json->end;

        while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
            at++;
        json->at = at;
        if (at == end || (unsigned char)*at < 0x20)
            return ds_json_fail(json, "the string has no end");
        if (*at == '"')
            break;
        if (skip_escape(json) < 0)
            return -1;
    }
    string->len = (size_t)(json->at++ - string->at);
    return 0;
}

static bool is_digit(const struct ds_json *json)
{
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

static bool take(struct ds_json *json, const char *any)
{
    if (json->at == json->end || !*json->at || !strchr(any, *json->at))
        return false;
    json->at++;
    return true;
}

static int skip_digits(struct ds_json *json)
{
    if (!is_digit(json))
        return ds_json_fail(json, "a digit is expected");
    while (is_digit(json))
        json->at++;
    return 0;
}

static int skip_number(struct ds_json *json)
{
    take(json, "-");
    if (!take(json, "0") && skip_digits(json) < 0)
        return -1;
    if (take(json, ".") && skip_digits(json) < 0)
        return -1;
    if (!take(json, "eE"))
        return 0;
    take(json, "+-");
    return skip_digits(json);
}

static int skip_scalar(struct ds_json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t left = (size_t)(json->end - json->at);
    struct ds_json_text ignored;

    if (left && *json->at == '"')
        return ds_json_string(json, &ignored);
    for (size_t i = 0; i < DS_COUNT(words); i++) {
        size_t len = strlen(words[i]);

        if (left >= len && memcmp(json->at, words[i], len) == 0) {
            json->at += len;
            return 0;
        }
    }
    if (is_digit(json) || (left && *json->at == '-'))
        return skip_number(json);
    return ds_json_fail(json, "a value is expected");
}

/* Where ds_json_skip() stands: a bit for each open bracket, the innermost lowest. */
struct nest {
    uint64_t objects; /* 1: an object, 0: an array */
    unsigned depth;
};

/* To the next value within the brackets: 1; 0 when all of them are closed. */
static int skip_to_value(struct ds_json *json, struct nest *nest, bool is_first)
{
    struct ds_json_text key;

    while (nest->depth) {
        bool object = nest->objects & 1;
        int more = next(json, is_first, object ? '}' : ']');

        if (more < 0 || (more && object && key_and_colon(json, &key) < 0))
            return -1;
        if (more)
            return 1;
        nest->depth--;
        nest->objects >>= 1;
        is_first = false;
    }
    return 0;
}

int ds_json_skip(struct ds_json *json)
{
    struct nest nest = {0};
    int more;

    do {
        char c = ds_json_peek(json);
        bool opens = c == '{' || c == '[';

        if (opens && nest.depth == DS_JSON_DEPTH_MAX)
            return ds_json_fail(json, "too many brackets are open");
        if (opens) {
            json->at++;
            nest.objects = nest.objects << 1 | (c == '{');
            nest.depth++;
        } else if (skip_scalar(json) < 0) {
            return -1;
        }
        more = skip_to_value(json, &nest, opens);
    } while (more > 0);
    return more;
}

int ds_json_finish(struct ds_json *json)
{
    ds_json_peek(json);
    return json->at < json->end ? ds_json_fail(json, "something follows the end") : 0;
}

bool ds_json_is(struct ds_json_text text, const char *plain)
{
    size_t len = strlen(plain);

    return text.len == len && memcmp(text.at, plain, len) == 0;
}

/* ---- what a string means -------------------------------------------------------------
 */

static uint32_t hex4(const char *at)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)ds_num_hex(at[i]);
    return code;
}

static void add_code(struct ds_buf *out, uint32_t code)
{
    if (code < 0x80) {
        ds_buf_addc(out, (char)code);
        return;
    }
    if (code < 0x800) {
        ds_buf_addc(out, (char)(0xC0 | code >> 6));
    } else {
        if (code < 0x10000) {
            ds_buf_addc(out, (char)(0xE0 | code >> 12));
        } else {
            ds_buf_addc(out, (char)(0xF0 | code >> 18));
            ds_buf_addc(out, (char)(0x80 | (code >> 12 & 0x3F)));
        }
        ds_buf_addc(out, (char)(0x80 | (code >> 6 & 0x3F)));
    }
    ds_buf_addc(out, (char)(0x80 | (code & 0x3F)));
}

/* At "\uXXXX"; how many bytes it and its other half take, 0 when that is missing. */
static size_t decode_unicode(const char *at, const char *end, struct ds_buf *out)
{
    uint32_t code = hex4(at + 2), low;

    if (code < 0xD800 || code > 0xDFFF) {
        add_code(out, code);
        return 6;
    }
    if (code > 0xDBFF || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return 0;
    low = hex4(at + 8);
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    add_code(out, 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
    return 12;
}

static size_t decode_escape(const char *at, const char *end, struct ds_buf *out)
{
    static const char letters[] = "bfnrt", means[] = "\b\f\n\r\t";
    const char *letter = strchr(letters, at[1]);

    if (at[1] == 'u')
        return decode_unicode(at, end, out);
    ds_buf_addc(out, letter ? means[letter - letters] : at[1]);
    return 2;
}

int ds_json_decode(struct ds_json_text string, struct ds_buf *out)
{
    const char *at = string.at, *end = at + string.len;

    if (!ds_utf8_is_valid(string.at, string.len))
        return -1;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape ? escape : end) - at), taken;

        ds_buf_add(out, at, plain);
        if (!escape)
            break;
        taken = decode_escape(escape, end, out);
        if (!taken)
            return -1;
        at = escape + taken;
    }
    return 0;
}
