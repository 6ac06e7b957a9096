/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts groups out of a list as it comes in.  See group.h. */
#include "dshard/buf.h"
#include "dshard/utf8.h"
#include "group_impl.h"

#include <stdlib.h>

/* What must come next, but for space. */
enum want {
    WANT_OPEN,     /* the bracket of the answer */
    WANT_KEY,      /* a member of the answer, or its end when it is the first */
    WANT_COLON,    /* then the value of that key */
    WANT_VALUE,    /* of any key; a list that is `data` is gone into */
    WANT_ELEMENT,  /* of data, or its end when it is the first */
    WANT_COMMA,    /* or the end of data */
    WANT_NEXT_KEY, /* a comma or the end of the answer */
    WANT_NOTHING,  /* the answer is whole */
};

/* What the bytes collected now will be: one key or one value. */
enum piece { NO_PIECE, PIECE_KEY, PIECE_VALUE, PIECE_ELEMENT };

enum key { KEY_OTHER, KEY_STATUS, KEY_DATA, KEY_ERROR };

enum {
    HELD_KEPT = 1024 * 1024, /* memory that is kept from one group to the next */
    WORDS_MAX = 512,         /* of the server */
};

struct ds_group_splitter {
    ds_group_text_fn *each;
    void *arg;
    enum want want;
    enum key key;
    bool is_first; /* member or element */
    unsigned seen; /* 1 << enum key: these keys were there */

    enum piece piece;
    struct ds_buf held; /* the piece as far as it came in earlier calls */
    size_t depth;       /* brackets open in it */
    bool in_string, is_escaped;
    bool is_bare;  /* a number or a word */
    bool is_begun; /* its first byte has been seen */

    char status[WORDS_MAX], words[WORDS_MAX];
    bool failed; /* what follows means nothing */
};

struct ds_group_splitter *ds_group_splitter_new(ds_group_text_fn *each, void *arg)
{
    struct ds_group_splitter *splitter = ds_xcalloc(1, sizeof *splitter);

    splitter->each = each;
    splitter->arg = arg;
    ds_buf_init(&splitter->held, DS_GROUP_JSON_MAX);
    return splitter;
}

void ds_group_splitter_free(struct ds_group_splitter *splitter)
{
    if (!splitter)
        return;
    ds_buf_release(&splitter->held);
    free(splitter);
}

/* ---- one piece -----------------------------------------------------------------------
 */

/* In a string: to its end or to that of the data. */
static const char *scan_string(struct ds_group_splitter *splitter, const char *at,
                               const char *end)
{
    while (at < end) {
        if (splitter->is_escaped) {
            splitter->is_escaped = false;
            at++;
            continue;
        }
        while (at < end && *at != '"' && *at != '\\')
            at++;
        if (at == end)
            break;
        splitter->is_escaped = *at == '\\';
        splitter->in_string = *at == '\\';
        at++;
        if (!splitter->in_string)
            break;
    }
    return at;
}

/* Outside of strings: what a byte does to the depth, or that it begins a string. */
enum effect { NOTHING, OPENS, CLOSES, QUOTES };

static const unsigned char effect[256] = {
    ['{'] = OPENS, ['['] = OPENS, ['}'] = CLOSES, [']'] = CLOSES, ['"'] = QUOTES,
};

/* Within brackets: to the one that closes the outermost, or to the end of the data. */
static const char *scan_nested(struct ds_group_splitter *splitter, const char *at,
                               const char *end)
{
    while (at < end && splitter->depth) {
        unsigned char does;

        if (splitter->in_string) {
            at = scan_string(splitter, at, end);
            continue;
        }
        does = effect[(unsigned char)*at++];
        splitter->in_string = does == QUOTES;
        if (does == OPENS)
            splitter->depth++;
        else if (does == CLOSES)
            splitter->depth--;
    }
    return at;
}

static bool ends_bare(char c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' ||
           c == '\r';
}

/* Goes on with the piece; *done when it is whole. */
static const char *scan(struct ds_group_splitter *splitter, const char *at,
                        const char *end, bool *done)
{
    at += !splitter->is_begun;
    splitter->is_begun = true;
    if (splitter->is_bare) {
        while (at < end && !ends_bare(*at))
            at++;
        *done = at < end;
    } else if (splitter->depth) {
        at = scan_nested(splitter, at, end);
        *done = !splitter->depth;
    } else {
        at = scan_string(splitter, at, end);
        *done = !splitter->in_string;
    }
    return at;
}

/* ---- what a whole piece says ---------------------------------------------------------
 */

static const char NO_LIST[] = "this is no list of groups";

static int fail(struct ds_error *err, const char *what)
{
    return ds_fail(err, DS_E_FORMAT, "%s: %s", NO_LIST, what);
}

static int take_key(struct ds_group_splitter *splitter, struct ds_json_text key,
                    struct ds_error *err)
{
    static const struct {
        const char *name;
        enum key key;
    } keys[] = {{"status", KEY_STATUS}, {"data", KEY_DATA}, {"error", KEY_ERROR}};

    splitter->key = KEY_OTHER;
    for (size_t i = 0; i < DS_COUNT(keys); i++) {
        if (ds_json_is(key, keys[i].name))
            splitter->key = keys[i].key;
    }
    if (splitter->key != KEY_OTHER && splitter->seen & 1U << splitter->key)
        return fail(err, "a key stands twice");
    splitter->seen |= 1U << splitter->key;
    splitter->want = WANT_COLON;
    return 0;
}

static void keep_words(char out[WORDS_MAX], struct ds_json_text string)
{
    DS_AUTO(buf) struct ds_buf words = DS_BUF_INIT(DS_GROUP_JSON_MAX);

    /* What cannot be decoded is shown as far as it could be. */
    ds_ignore(ds_json_decode(string, &words));
    ds_utf8_clean(out, WORDS_MAX, words.data, words.len);
}

static int take_value(struct ds_group_splitter *splitter, struct ds_json *json,
                      struct ds_error *err)
{
    char c = ds_json_peek(json);
    struct ds_json_text string;

    splitter->want = WANT_NEXT_KEY;
    if (splitter->key == KEY_DATA && c != 'n')
        return fail(err, "its data is no array");
    if (splitter->key == KEY_STATUS && c != '"')
        return fail(err, "its status is no string");
    if ((splitter->key != KEY_STATUS && splitter->key != KEY_ERROR) || c != '"') {
        if (ds_json_skip(json) < 0 || ds_json_finish(json) < 0)
            return ds_wrap(err, "%s", NO_LIST);
        return 0;
    }
    if (ds_json_string(json, &string) < 0)
        return ds_wrap(err, "%s", NO_LIST);
    keep_words(splitter->key == KEY_STATUS ? splitter->status : splitter->words, string);
    return 0;
}

static int take_piece(struct ds_group_splitter *splitter, const char *text, size_t len,
                      struct ds_error *err)
{
    struct ds_json json = ds_json_start(text, len, err);
    enum piece piece = splitter->piece;
    struct ds_json_text key;

    splitter->piece = NO_PIECE;
    if (piece == PIECE_ELEMENT) {
        splitter->want = WANT_COMMA;
        return splitter->each(splitter->arg, text, len, err);
    }
    if (piece == PIECE_VALUE)
        return take_value(splitter, &json, err);
    if (ds_json_string(&json, &key) < 0)
        return ds_wrap(err, "%s", NO_LIST);
    return take_key(splitter, key, err);
}

/* Collects the piece; *at moves as far as it went. */
static int collect(struct ds_group_splitter *splitter, const char **at, const char *end,
                   struct ds_error *err)
{
    bool done = false;
    const char *start = *at;
    size_t len;
    int result;

    *at = scan(splitter, start, end, &done);
    len = (size_t)(*at - start);
    if (done && !splitter->held.len)
        return take_piece(splitter, start, len, err);
    ds_buf_add(&splitter->held, start, len);
    if (ds_buf_check(&splitter->held, "a group", err) < 0)
        return -1;
    if (!done)
        return 0;
    result = take_piece(splitter, splitter->held.data, splitter->held.len, err);
    if (splitter->held.cap > HELD_KEPT)
        ds_buf_release(&splitter->held);
    ds_buf_clear(&splitter->held);
    return result;
}

/* ---- between pieces ------------------------------------------------------------------
 */

static int begin(struct ds_group_splitter *splitter, enum piece piece, char c)
{
    splitter->piece = piece;
    splitter->depth = c == '{' || c == '[';
    splitter->in_string = c == '"';
    splitter->is_escaped = false;
    splitter->is_bare = !splitter->depth && !splitter->in_string;
    splitter->is_begun = false;
    return 0;
}

static int expect(struct ds_group_splitter *splitter, enum want want, bool is_first)
{
    splitter->want = want;
    splitter->is_first = is_first;
    return 0;
}

static int step_in_data(struct ds_group_splitter *splitter, char c, struct ds_error *err)
{
    if (c == ']' && (splitter->want == WANT_COMMA || splitter->is_first))
        return expect(splitter, WANT_NEXT_KEY, false);
    if (splitter->want == WANT_COMMA)
        return c == ',' ? expect(splitter, WANT_ELEMENT, false)
                        : fail(err, "a comma or ']' is expected in its data");
    if (c != '{')
        return fail(err, "in its data is something that is no object");
    return begin(splitter, PIECE_ELEMENT, c);
}

/* One byte that is no space; a piece may begin with it. */
static int step(struct ds_group_splitter *splitter, char c, struct ds_error *err)
{
    switch (splitter->want) {
    case WANT_OPEN:
        return c == '{' ? expect(splitter, WANT_KEY, true)
                        : fail(err, "it does not begin with '{'");
    case WANT_KEY:
        if (c == '}' && splitter->is_first)
            return expect(splitter, WANT_NOTHING, false);
        return c == '"' ? begin(splitter, PIECE_KEY, c) : fail(err, "a key is expected");
    case WANT_COLON:
        return c == ':' ? expect(splitter, WANT_VALUE, false)
                        : fail(err, "a colon is expected");
    case WANT_VALUE:
        if (c == '[' && splitter->key == KEY_DATA)
            return expect(splitter, WANT_ELEMENT, true);
        return ends_bare(c) ? fail(err, "a value is expected")
                            : begin(splitter, PIECE_VALUE, c);
    case WANT_ELEMENT:
    case WANT_COMMA:
        return step_in_data(splitter, c, err);
    case WANT_NEXT_KEY:
        if (c == '}')
            return expect(splitter, WANT_NOTHING, false);
        return c == ',' ? expect(splitter, WANT_KEY, false)
                        : fail(err, "a comma or '}' is expected");
    case WANT_NOTHING:
        break;
    }
    return fail(err, "something follows its end");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static int feed(struct ds_group_splitter *splitter, const char *at, const char *end,
                struct ds_error *err)
{
    while (at < end) {
        if (!splitter->piece) {
            if (!is_space(*at) && step(splitter, *at, err) < 0)
                return -1;
            at += !splitter->piece;
        } else if (collect(splitter, &at, end, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int ds_group_splitter_feed(struct ds_group_splitter *splitter, const char *data,
                           size_t len, struct ds_error *err)
{
    if (splitter->failed)
        return fail(err, "what came before was none");
    if (!len || feed(splitter, data, data + len, err) == 0)
        return 0;
    splitter->failed = true;
    return -1;
}

int ds_group_splitter_end(struct ds_group_splitter *splitter, struct ds_error *err)
{
    bool has_status = splitter->seen & 1U << KEY_STATUS;

    if (splitter->failed)
        return fail(err, "what came before was none");
    if (splitter->want != WANT_NOTHING)
        return fail(err, splitter->want == WANT_OPEN ? "it is empty" : "it has no end");
    if (!has_status)
        return fail(err, "it has no status");
    if (strcmp(splitter->status, "success") != 0)
        return ds_fail(err, DS_E_FORMAT, "the server answered '%s'%s%s", splitter->status,
                       splitter->words[0] ? ": " : "", splitter->words);
    if (!(splitter->seen & 1U << KEY_DATA))
        return fail(err, "it has no data");
    return 0;
}
