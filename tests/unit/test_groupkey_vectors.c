/* SPDX-License-Identifier: Apache-2.0 */
/* What a live Pushgateway made of each target (grouping.tsv) against our reading. */
#include "test.h"

#include "dshard/file.h"
#include "dshard/groupkey.h"

#include <jansson.h>

static enum ds_code parse(struct ds_groupkey *group, const char *target,
                          struct ds_error *err)
{
    return ds_groupkey_parse(group, target, strlen(target), err) < 0 ? err->code : DS_OK;
}

/* The identity of the labels in a JSON object; false when a value has a NUL byte. */
static bool identity_of_json(const char *text, struct ds_buf *out)
{
    json_error_t why;
    json_t *labels = json_loads(text, JSON_ALLOW_NUL, &why), *value;
    const char *names[64];
    size_t n = 0;
    bool ok = true;

    if (!labels)
        fail_msg("'%s': %s", text, why.text);
    for (void *at = json_object_iter(labels); at;
         at = json_object_iter_next(labels, at)) {
        size_t i = n++;

        for (; i && strcmp(names[i - 1], json_object_iter_key(at)) > 0; i--)
            names[i] = names[i - 1];
        names[i] = json_object_iter_key(at);
    }
    for (size_t i = 0; i < n; i++) {
        value = json_object_get(labels, names[i]);
        ds_buf_addf(out, "%s%s\xFF", i ? "\xFF" : "", names[i]);
        ds_buf_add(out, json_string_value(value), json_string_length(value));
        ok = ok && !memchr(json_string_value(value), '\0', json_string_length(value));
    }
    json_decref(labels);
    return ok;
}

static void expect_group(struct ds_groupkey *group, const char *target, const char *json,
                         bool same)
{
    DS_AUTO(buf) struct ds_buf want = DS_BUF_INIT(1000), got = DS_BUF_INIT(1000);
    struct ds_error err = DS_ERROR_INIT;
    bool allowed = identity_of_json(json, &want);
    enum ds_code code = parse(group, target, &err);

    if (code != (allowed ? DS_OK : DS_E_BAD_PATH))
        fail_msg("%s: code %d, %s", target, (int)code, err.text);
    if (code != DS_OK)
        return;
    ds_groupkey_identity(group, &got);
    if ((got.len == want.len && memcmp(got.data, want.data, got.len) == 0) != same)
        fail_msg("%s %s %s", target, same ? "is not" : "is", json);
}

/* One line of grouping.tsv; true when it is about a push. */
static bool check_line(struct ds_groupkey *group, char *line)
{
    static const char before[] = "group existing before: ";
    char *target = strsep(&line, "\t"), *method = strsep(&line, "\t");
    char *status = strsep(&line, "\t"), *labels = strsep(&line, "\t"), *note = line;
    struct ds_error err = DS_ERROR_INIT;

    assert_non_null(note);
    if (strcmp(method, "PUT") && strcmp(method, "POST") && strcmp(method, "DELETE"))
        return false;
    if (status[0] == '2' && labels[0] == '{') {
        expect_group(group, target, labels, true);
    } else if (status[0] == '2') { /* a DELETE of another group than the one there */
        assert_memory_equal(note, before, sizeof before - 1);
        expect_group(group, target, note + sizeof before - 1, false);
    } else {
        enum ds_code code = parse(group, target, &err);
        bool unknown = strcmp(status, "404") == 0 || strcmp(status, "405") == 0 ||
                       strcmp(status, "307") == 0;

        if (code != (unknown ? DS_E_NOT_FOUND : DS_E_BAD_PATH))
            fail_msg("%s: %s there, code %d here: %s", target, status, (int)code,
                     err.text);
    }
    return true;
}

static void all_vectors_of_a_live_pushgateway_agree(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000000);
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;
    size_t n = 0;
    char *rest;

    (void)state;
    ds_groupkey_init(&group);
    assert_ok(ds_file_read(&text, TEST_DATA_DIR "/grouping.tsv", &err), &err);
    rest = text.data;
    strsep(&rest, "\n"); /* the heading */
    while (rest && *rest)
        n += check_line(&group, strsep(&rest, "\n"));
    assert_int_equal(n, 125);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_vectors_of_a_live_pushgateway_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
