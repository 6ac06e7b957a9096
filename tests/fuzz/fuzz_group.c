/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a server's list, and as one group.  A list says the same in whatever
 * pieces it comes; a group that is taken is JSON, and its identity, hash and families are
 * in order; what is refused leaves nothing behind.  The first byte says how large the
 * pieces are.  `make fuzz` runs it under libFuzzer, tests/unit/test_group_fuzz.c replays
 * the corpus without it.
 */
#include "dshard/group.h"
#include "dshard/groupkey.h"
#include "dshard/murmur3.h"
#include "dshard/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 100000, OUTPUT_MAX = 4 * LIST_MAX };

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_group: %s\n", what);
    abort();
}

/* jansson has reasons that we have not, for what is passed over. */
static void check_json(const char *text, size_t len)
{
    enum json_error_code code;
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &why);

    if (root) {
        json_decref(root);
        return;
    }
    code = json_error_code(&why);
    check(code == json_error_invalid_utf8 || code == json_error_numeric_overflow ||
              code == json_error_null_byte_in_key || strstr(why.text, "invalid Unicode"),
          why.text);
}

static void check_families(const struct ds_group *group)
{
    for (size_t i = 0; i < group->n_families; i++) {
        const char *name = group->families[i].name;

        check(ds_utf8_is_valid(name, strlen(name)) || strstr(name, "\xC0\x80"),
              "a family is not UTF-8");
        check(group->families[i].pushed_us >= 0, "a time stamp is before 1970");
        check(!i || strcmp(group->families[i - 1].name, group->families[i].name) < 0,
              "families are not sorted and unique");
    }
}

static void check_identity(const struct ds_group *group)
{
    DS_AUTO(groupkey) struct ds_groupkey key = {0};
    DS_AUTO(buf) struct ds_buf again = DS_BUF_INIT(DS_IDENTITY_MAX);
    struct ds_error err = DS_ERROR_INIT;

    ds_groupkey_init(&key);
    if (ds_groupkey_from_identity(&key, group->identity, group->identity_len, &err) < 0) {
        check(err.code == DS_E_BAD_PATH, "an identity is refused with another code");
        check(group->flags & DS_GROUP_ODD_NAME, "no URL can say a group that is not odd");
        return;
    }
    check(!(group->flags & DS_GROUP_ODD_NAME), "a URL can say a group that is odd");
    check(!key.url.over && !key.key.over, "something did not fit");
    check(group->hash == ds_murmur3(key.key.data, key.key.len, 0), "a hash is wrong");
    ds_groupkey_identity(&key, &again);
    check(again.len == group->identity_len &&
              memcmp(again.data, group->identity, again.len) == 0,
          "an identity means another group");
}

static void check_group(const char *json, size_t len)
{
    static const struct ds_group nothing;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(OUTPUT_MAX);
    struct ds_error err = DS_ERROR_INIT;
    struct ds_group group;

    if (ds_group_parse(&group, json, len, &err) < 0) {
        check(err.code == DS_E_FORMAT, "a group is refused with another code");
        check(memcmp(&group, &nothing, sizeof group) == 0, "a refusal leaves something");
        return;
    }
    check_json(json, len);
    check_identity(&group);
    check_families(&group);
    check(group.pushed_us >= 0 && group.failed_us >= 0 && group.created_us >= 0 &&
              group.stamped_us >= 0,
          "a time is before 1970");
    ds_group_add_text(&group, &text);
    check(!text.over && ds_utf8_is_valid(text.data, text.len), "a text is not UTF-8");
    check(ds_group_is_unchanged(&group, &group), "a group differs from itself");
    ds_group_release(&group);
}

static int note(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct ds_buf *out = arg;

    ds_buf_add(out, json, len);
    ds_buf_addc(out, '\n');
    (void)err;
    return 0;
}

/* Notes the groups, and at the end what is wrong. */
static void split(const char *data, size_t size, size_t piece, struct ds_buf *out)
{
    struct ds_group_splitter *splitter = ds_group_splitter_new(note, out);
    struct ds_error err = DS_ERROR_INIT;
    bool good = true;

    for (size_t at = 0; good && at < size; at += piece)
        good = ds_group_splitter_feed(splitter, data + at,
                                      size - at < piece ? size - at : piece, &err) == 0;
    if (good && ds_group_splitter_end(splitter, &err) == 0)
        check(err.code == DS_OK, "a list is good and has an error");
    else
        check(err.code == DS_E_FORMAT, "a list is refused with another code");
    ds_buf_adds(out, err.text);
    ds_group_splitter_free(splitter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(buf) struct ds_buf whole = DS_BUF_INIT(OUTPUT_MAX);
    DS_AUTO(buf) struct ds_buf pieces = DS_BUF_INIT(OUTPUT_MAX);
    const char *text = (const char *)data + 1;

    if (!size || size > LIST_MAX)
        return 0;
    split(text, size - 1, size, &whole);
    split(text, size - 1, 1 + data[0] % 64, &pieces);
    check(!whole.over && whole.len == pieces.len &&
              memcmp(whole.data, pieces.data, whole.len) == 0,
          "a list says something else in pieces");
    for (char *line = whole.data; line < whole.data + whole.len;) {
        char *end = memchr(line, '\n', whole.len - (size_t)(line - whole.data));

        if (!end)
            break;
        check_group(line, (size_t)(end - line));
        line = end + 1;
    }
    check_group(text, size - 1);
    return 0;
}
