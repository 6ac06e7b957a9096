/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request target: the parser may refuse them, and what it accepts it must
 * write as a URL that means the same group, needs no escaping and is written again as it
 * stands.  `make fuzz` runs it under libFuzzer; tests/unit/test_groupkey_fuzz.c replays
 * the corpus without it.
 */
#include "dshard/groupkey.h"
#include "dshard/utf8.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_groupkey: %s\n", what);
    abort();
}

static bool same(const struct ds_buf *a, const struct ds_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void check_refusal(const struct ds_error *err)
{
    check(err->code == DS_E_BAD_PATH || err->code == DS_E_NOT_FOUND ||
              err->code == DS_E_TOO_LONG,
          "a refusal has another code");
    for (const char *c = err->text; *c; c++)
        check((unsigned char)*c >= 0x20 && *c != 0x7F, "a reason has a control byte");
    check(ds_utf8_is_valid(err->text, strlen(err->text)), "a reason is not UTF-8");
}

/* Before the query: only what a Location or a request line may hold as it is. */
static void check_url(const struct ds_groupkey *group)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789-._~/@=";
    size_t path_len = strspn(group->url.data, safe);

    check(path_len == group->url.len || group->url.data[path_len] == '?',
          "a canonical path has a byte that needs escaping");
    for (size_t i = path_len; i < group->url.len; i++)
        check((unsigned char)group->url.data[i] > 0x20 && group->url.data[i] != 0x7F,
              "a query has a space or a control byte");
}

static void check_group(const struct ds_groupkey *group)
{
    check(!group->key.over && !group->url.over, "something did not fit");
    check(group->job.value_len > 0, "a job is empty");
    check(ds_utf8_is_valid(group->key.data, group->key.len), "a key is not UTF-8");
    check(!memchr(group->key.data, '\0', group->key.len), "a key has a NUL byte");
    for (size_t i = 1; i < group->n_labels; i++) {
        const struct ds_label *a = &group->labels[i - 1], *b = &group->labels[i];
        size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
        int order = memcmp(a->name, b->name, len);

        check(order < 0 || (order == 0 && a->name_len < b->name_len),
              "labels are not sorted and unique");
    }
    check_url(group);
}

static void check_again(const struct ds_groupkey *group)
{
    DS_AUTO(buf) struct ds_buf one = DS_BUF_INIT(4 * (size_t)DS_TARGET_MAX);
    DS_AUTO(buf) struct ds_buf two = DS_BUF_INIT(4 * (size_t)DS_TARGET_MAX);
    DS_AUTO(groupkey) struct ds_groupkey again = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_groupkey_init(&again);
    check(ds_groupkey_parse(&again, group->url.data, group->url.len, &err) == 0,
          "a canonical URL is refused");
    check(same(&again.url, &group->url), "a canonical URL is written another way");
    check(same(&again.key, &group->key), "a canonical URL has another key");
    ds_groupkey_identity(group, &one);
    ds_groupkey_identity(&again, &two);
    check(!one.over && same(&one, &two), "a canonical URL means another group");
}

/* However the target spelled it: the URL is the one that the labels alone give. */
static void check_spelling(const struct ds_groupkey *group)
{
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(4 * (size_t)DS_TARGET_MAX);
    DS_AUTO(groupkey) struct ds_groupkey again = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_groupkey_init(&again);
    ds_groupkey_identity(group, &identity);
    check(ds_groupkey_from_identity(&again, identity.data, identity.len, &err) == 0,
          "a group's identity is refused");
    check(same(&again.key, &group->key), "a group's identity has another key");
    check(again.url.len <= group->url.len &&
              memcmp(again.url.data, group->url.data, again.url.len) == 0,
          "a canonical URL shows how the target was spelled");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_groupkey_init(&group);
    if (ds_groupkey_parse(&group, (const char *)data, size, &err) < 0) {
        check_refusal(&err);
        return 0;
    }
    check_group(&group);
    check_spelling(&group);
    if (group.url.len <= DS_TARGET_MAX) /* it may be longer than what it was made from */
        check_again(&group);
    return 0;
}
