/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/confedit.h"
#include "random.h"

#include <stdio.h>

enum { LIST_MAX = 8 };

/* "a:1 b:1*3" as servers with weights. */
struct list {
    struct ds_server servers[LIST_MAX];
    size_t n;
};

static void read_list(struct list *list, const char *text)
{
    *list = (struct list){0};
    while (text && *text) {
        size_t len = strcspn(text, " ");
        size_t name = strcspn(text, " *");
        struct ds_server *server = &list->servers[list->n++];
        DS_AUTO(str) char *address = ds_xstrndup(text, name);
        struct ds_error err = DS_ERROR_INIT;

        assert_true(list->n <= LIST_MAX);
        assert_ok(ds_address_parse(server->address, address, 0, &err), &err);
        server->weight = name < len ? (unsigned)atoi(text + name + 1) : 1;
        text += len + strspn(text + len, " ");
    }
}

static int edit_text(const char *text, const char *add, const char *remove,
                     struct ds_buf *out, bool *changed, struct ds_error *err)
{
    struct list added, removed;
    struct ds_confedit edit;

    read_list(&added, add);
    read_list(&removed, remove);
    edit = (struct ds_confedit){.add = added.servers,
                                .n_add = added.n,
                                .remove = removed.servers,
                                .n_remove = removed.n};
    return ds_confedit_text("f.yml", text, strlen(text), &edit, out, changed, err);
}

struct row {
    const char *before, *add, *remove, *after; /* after NULL: it is as before */
};

static void check_row(const struct row *row)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;
    const char *after = row->after ? row->after : row->before;
    bool changed;

    if (edit_text(row->before, row->add, row->remove, &out, &changed, &err) < 0)
        fail_msg("%s+%s -%s: %s", row->before, row->add ? row->add : "",
                 row->remove ? row->remove : "", err.text);
    if (strcmp(out.data, after) != 0)
        fail_msg("%s+%s -%s: want:\n%sgot:\n%s", row->before, row->add ? row->add : "",
                 row->remove ? row->remove : "", after, out.data);
    assert_int_equal(changed, row->after != NULL);
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

#define TOP "pushgateway:\n  servers:\n"

static const struct row blocks[] = {
    /* first, middle, last, all but one */
    {TOP "  - a:1\n  - b:1\n  - c:1\n", NULL, "a:1", TOP "  - b:1\n  - c:1\n"},
    {TOP "  - a:1\n  - b:1\n  - c:1\n", NULL, "b:1", TOP "  - a:1\n  - c:1\n"},
    {TOP "  - a:1\n  - b:1\n  - c:1\n", NULL, "c:1", TOP "  - a:1\n  - b:1\n"},
    {TOP "  - a:1\n  - b:1\n  - c:1\n", NULL, "c:1 a:1", TOP "  - b:1\n"},
    {TOP "  - a:1\n", "b:1 c:1", NULL, TOP "  - a:1\n  - b:1\n  - c:1\n"},
    {TOP "  - a:1\n", "b:1", "a:1", TOP "  - b:1\n"},
    {TOP "  - a:1\n  - b:1\n", "c:1", "b:1", TOP "  - a:1\n  - c:1\n"},
    /* indents */
    {"pushgateway:\n    servers:\n    - a:1\nring: {}\n", "b:1", NULL,
     "pushgateway:\n    servers:\n    - a:1\n    - b:1\nring: {}\n"},
    {"pushgateway:\n servers:\n      -   a:1\n      - b:1\n", "c:1", "a:1",
     "pushgateway:\n servers:\n      - b:1\n      - c:1\n"},
    {"pushgateway:\n servers:\n      -   a:1\n", "b:1", NULL,
     "pushgateway:\n servers:\n      -   a:1\n      -   b:1\n"},
    /* quotes */
    {TOP "  - \"a:1\"\n", "b:1", NULL, TOP "  - \"a:1\"\n  - \"b:1\"\n"},
    {TOP "  - 'a:1'\n", "b:1 [::1]:1", NULL, TOP "  - 'a:1'\n  - 'b:1'\n  - '[::1]:1'\n"},
    {TOP "  - a:1\n", "[::1]:1", NULL, TOP "  - a:1\n  - \"[::1]:1\"\n"},
    {TOP "  - \"[::1]:1\"\n  - a:1\n", NULL, "[::1]:1", TOP "  - a:1\n"},
    /* weights and maps */
    {TOP "  - a:1\n", "b:1*3", NULL, TOP "  - a:1\n  - {addr: \"b:1\", weight: 3}\n"},
    {TOP "  - {addr: 'a:1', weight: 2}\n", "b:1", NULL,
     TOP "  - {addr: 'a:1', weight: 2}\n  - 'b:1'\n"},
    {TOP "  - addr: a:1\n    weight: 2\n  - addr: b:1\n", NULL, "a:1",
     TOP "  - addr: b:1\n"},
    {TOP "  - weight: 2 # twice\n    # as large\n    addr: a:1 # really\n  - addr: b:1\n",
     "c:1*2", "a:1", TOP "  - addr: b:1\n  - {addr: \"c:1\", weight: 2}\n"},
    {TOP "  - {addr: a:1,\n     weight: 2} # x\n  - b:1\n", NULL, "a:1", TOP "  - b:1\n"},
    {TOP "  - a:1\n  - addr: b:1\n\n    weight: 2\n\n# end\n", "c:1", "b:1",
     TOP "  - a:1\n  - c:1\n\n# end\n"},
    /* comments: the item's own goes, the others' stay */
    {TOP "  # above\n  - a:1 # own\n  # between\n  - b:1 # b's\n  # behind\n", NULL,
     "a:1", TOP "  # above\n  # between\n  - b:1 # b's\n  # behind\n"},
    {TOP "  - a:1\n  - b:1 # b's\n  # - c:1\n\n# end\nring: {}\n", "d:1", NULL,
     TOP "  - a:1\n  - b:1 # b's\n  - d:1\n  # - c:1\n\n# end\nring: {}\n"},
    {TOP "  # - a dash\n  - # here\n    a:1\n  -\n    b:1\n", "c:1", "a:1",
     TOP "  # - a dash\n  -\n    b:1\n  - c:1\n"},
    {TOP "\n  - a:1\n\n\n  - b:1\n\n", NULL, "a:1", TOP "\n\n\n  - b:1\n\n"},
    {TOP "  - a:1\t# tab\n  - b:1 \t \n", "c:1", "a:1", TOP "  - b:1 \t \n  - c:1\n"},
    /* no newline at the end */
    {TOP "  - a:1\n  - b:1", NULL, "b:1", TOP "  - a:1"},
    {TOP "  - a:1\n  - b:1", NULL, "a:1", TOP "  - b:1"},
    {TOP "  - a:1", "b:1", NULL, TOP "  - a:1\n  - b:1"},
    {TOP "  - a:1 # x", "b:1", "a:1", TOP "  - b:1"},
    {TOP "  - a:1\n  # end", "b:1", NULL, TOP "  - a:1\n  - b:1\n  # end"},
    /* Windows, old Macs, a BOM, umlauts */
    {"pushgateway:\r\n  servers:\r\n  - a:1 # \xC3\xA4\r\n  - b:1\r\n", "c:1", "a:1",
     "pushgateway:\r\n  servers:\r\n  - b:1\r\n  - c:1\r\n"},
    {"pushgateway:\r\n  servers:\r\n  - a:1", "b:1", NULL,
     "pushgateway:\r\n  servers:\r\n  - a:1\r\n  - b:1"},
    {"pushgateway:\r\n  servers:\r\n  - a:1\r\n  - b:1", NULL, "b:1",
     "pushgateway:\r\n  servers:\r\n  - a:1"},
    {"pushgateway:\r  servers:\r  - a:1\r  - b:1\r", "c:1", "a:1",
     "pushgateway:\r  servers:\r  - b:1\r  - c:1\r"},
    {"\xEF\xBB\xBFpushgateway:\n  servers:\n  - a:1\n", "b:1", NULL,
     "\xEF\xBB\xBFpushgateway:\n  servers:\n  - a:1\n  - b:1\n"},
    {"# M\xC3\xBCnchen \xF0\x9F\x98\x80\n" TOP "  - a:1 # K\xC3\xB6ln\n  - b:1\n", NULL,
     "a:1", "# M\xC3\xBCnchen \xF0\x9F\x98\x80\n" TOP "  - b:1\n"},
    {"# two\xE2\x80\xA8# lines\xC2\x85" TOP "  - a:1\n  - b:1\n", NULL, "a:1",
     "# two\xE2\x80\xA8# lines\xC2\x85" TOP "  - b:1\n"},
    /* documents */
    {"---\n" TOP "  - a:1\n...\n", "b:1", NULL, "---\n" TOP "  - a:1\n  - b:1\n...\n"},
    {"%YAML 1.1\n--- # x\n" TOP "  - a:1\n", "b:1", NULL,
     "%YAML 1.1\n--- # x\n" TOP "  - a:1\n  - b:1\n"},
    {"? pushgateway\n: ? servers\n  : - a:1\n    - b:1\n", "c:1", "b:1",
     "? pushgateway\n: ? servers\n  : - a:1\n    - c:1\n"},
    {"? pushgateway\n: ? servers\n  : - a:1\n", "c:1", NULL,
     "? pushgateway\n: ? servers\n  : - a:1\n    - c:1\n"},
    /* elsewhere there are lists too */
    {"consul_server:\n  tags:\n  - a:1\n  - b:1\n" TOP "  - a:1\n  - b:1\n", NULL, "b:1",
     "consul_server:\n  tags:\n  - a:1\n  - b:1\n" TOP "  - a:1\n"},
    /* the default port stands for itself */
    {TOP "  - a\n  - b\n", "c:9091", "a:9091", TOP "  - b\n  - c:9091\n"},
    {TOP "  - A\n  - b\n  port: 77\n", NULL, "a:77", TOP "  - b\n  port: 77\n"},
    /* nothing to do */
    {TOP "  - a:1 # x\n", NULL, NULL, NULL},
    {TOP "  - a:1\n", "a:1*7", "z:1", NULL},
    {TOP "  - a:1", "A:1", NULL, NULL},
};

static void block_lists(void **state)
{
    (void)state;
    check_rows(blocks, DS_COUNT(blocks));
}

#define FLOW(list)  "pushgateway: {servers: " list "}\n"
#define LINES(list) "pushgateway:\n  servers: " list "\nring: {}\n"

static const struct row flows[] = {
    {FLOW("[a:1, b:1, c:1]"), NULL, "a:1", FLOW("[b:1, c:1]")},
    {FLOW("[a:1, b:1, c:1]"), NULL, "b:1", FLOW("[a:1, c:1]")},
    {FLOW("[a:1, b:1, c:1]"), NULL, "c:1", FLOW("[a:1, b:1]")},
    {FLOW("[a:1, b:1, c:1]"), NULL, "b:1 c:1", FLOW("[a:1]")},
    {FLOW("[a:1, b:1, c:1]"), NULL, "a:1 c:1", FLOW("[b:1]")},
    {FLOW("[a:1, b:1, c:1]"), NULL, "a:1 b:1", FLOW("[c:1]")},
    {FLOW("[a:1]"), "b:1 c:1", NULL, FLOW("[a:1, b:1, c:1]")},
    {FLOW("[a:1,b:1]"), "c:1 d:1", NULL, FLOW("[a:1,b:1,c:1,d:1]")},
    {FLOW("[ a:1 ,  b:1 ]"), "c:1", NULL, FLOW("[ a:1 ,  b:1,  c:1 ]")},
    {FLOW("[ a:1 ,  b:1 ]"), NULL, "b:1", FLOW("[ a:1 ]")},
    {FLOW("[ a:1 ,  b:1 ]"), NULL, "a:1", FLOW("[ b:1 ]")},
    {FLOW("[a:1, b:1,]"), "c:1", NULL, FLOW("[a:1, b:1, c:1,]")},
    {FLOW("[a:1, b:1, ]"), "c:1", "b:1", FLOW("[a:1, c:1, ]")},
    {FLOW("[a:1, b:1, ]"), NULL, "b:1", FLOW("[a:1, ]")},
    {FLOW("[a:1]"), "b:1", "a:1", FLOW("[b:1]")},
    {FLOW("[a:1, b:1]"), "c:1 d:1", "a:1 b:1", FLOW("[c:1, d:1]")},
    {FLOW("[a:1,]"), "c:1 d:1", "a:1", FLOW("[c:1, d:1,]")},
    {FLOW("[\"a:1\", 'b:1']"), "c:1 [::1]:1", "a:1", FLOW("['b:1', 'c:1', '[::1]:1']")},
    {FLOW("[a:1]"), "[::1]:1 b:1*2", NULL,
     FLOW("[a:1, \"[::1]:1\", {addr: \"b:1\", weight: 2}]")},
    {FLOW("[{addr: a:1, weight: 2}, {addr: 'b:1'}]"), "c:1", "a:1",
     FLOW("[{addr: 'b:1'}, 'c:1']")},
    {"{\"pushgateway\": {\"servers\": [\"a:1\", \"b:1\"]}}", "c:1 d:1*2", "a:1",
     "{\"pushgateway\": {\"servers\": [\"b:1\", \"c:1\", {\"addr\": \"d:1\", \"weight\": "
     "2}]}}"},
    /* umlauts on the same line, before and behind; no newline at the end */
    {"{consul_server: {tags: [M\xC3\xBCnchen, \xE2\x82\xAC, \xF0\x9F\x98\x80]}, "
     "pushgateway: {servers: [a:1, b:1], username: \xC3\xA4, password_file: x}}",
     "c:1", "a:1",
     "{consul_server: {tags: [M\xC3\xBCnchen, \xE2\x82\xAC, \xF0\x9F\x98\x80]}, "
     "pushgateway: {servers: [b:1, c:1], username: \xC3\xA4, password_file: x}}"},
    {"\xEF\xBB\xBFpushgateway: {servers: [a:1, b:1]}", "c:1", "a:1",
     "\xEF\xBB\xBFpushgateway: {servers: [b:1, c:1]}"},
    /* several lines */
    {LINES("[a:1,\n    b:1,\n    c:1]"), NULL, "a:1", LINES("[b:1,\n    c:1]")},
    {LINES("[ a:1,\n    b:1]"), "d:1", "a:1", LINES("[ b:1,\n    d:1]")},
    {LINES("[a:1, # one\n    b:1]"), NULL, "a:1", LINES("[\n    b:1]")},
    {LINES("[\n    a:1,\n    b:1,\n    c:1\n  ]"), NULL, "b:1",
     LINES("[\n    a:1,\n    c:1\n  ]")},
    {LINES("[\n    a:1,\n    b:1,\n    c:1\n  ]"), NULL, "c:1",
     LINES("[\n    a:1,\n    b:1\n  ]")},
    {LINES("[\n    a:1,\n    b:1,\n    c:1\n  ]"), NULL, "b:1 c:1",
     LINES("[\n    a:1\n  ]")},
    {LINES("[\n    a:1,\n    b:1\n  ]"), "c:1 d:1", NULL,
     LINES("[\n    a:1,\n    b:1,\n    c:1,\n    d:1\n  ]")},
    {LINES("[\n    a:1,\n    b:1,\n  ]"), "c:1", "a:1",
     LINES("[\n    b:1,\n    c:1,\n  ]")},
    {LINES("[\n    a:1,\n    b:1\n  ]"), "c:1", "b:1",
     LINES("[\n    a:1,\n    c:1\n  ]")},
    {LINES("[\n    a:1,\n    b:1\n  ]"), "c:1 d:1", "a:1 b:1",
     LINES("[\n    c:1,\n    d:1\n  ]")},
    {LINES("[\r\n\t a:1,\r\n\t b:1]"), "c:1", "a:1", LINES("[\r\n\t b:1,\r\n\t c:1]")},
    {LINES("[a:1,\n            b:1]"), "c:1", NULL,
     LINES("[a:1,\n            b:1,\n            c:1]")},
    {LINES("[a:1,\n            b:1]"), NULL, "b:1", LINES("[a:1]")},
    {LINES("[a:1,\n            b:1,\n            c:1]"), NULL, "b:1 c:1", LINES("[a:1]")},
    {LINES("[a:1,\n            b:1]"), NULL, "a:1", LINES("[b:1]")},
    {LINES("[a:1, b:1,\n            c:1, d:1]"), "e:1", "b:1 d:1",
     LINES("[a:1,\n            c:1,\n            e:1]")},
    {LINES("[\n    a:1, b:1,\n    c:1]"), NULL, "a:1 b:1", LINES("[\n    c:1]")},
    {LINES("[\n    {addr: a:1,\n     weight: 2}, # large\n    b:1]"), NULL, "a:1",
     LINES("[\n    b:1]")},
    /* comments inside */
    {LINES("[ # all\n    a:1, # own\n    # between\n    b:1 # b's\n    # end\n  ]"), NULL,
     "a:1", LINES("[ # all\n    # between\n    b:1 # b's\n    # end\n  ]")},
    {LINES("[ # all\n    a:1, # own\n    # between\n    b:1 # b's\n    # end\n  ]"), NULL,
     "b:1", LINES("[ # all\n    a:1 # own\n    # between\n    # end\n  ]")},
    {LINES("[ # all\n    a:1, # own\n    # between\n    b:1 # b's\n    # end\n  ]"),
     "c:1", NULL,
     LINES(
         "[ # all\n    a:1, # own\n    # between\n    b:1, # b's\n    c:1\n    # end\n  "
         "]")},
    {LINES("[a:1, # first\n    b:1]"), NULL, "a:1", LINES("[\n    b:1]")},
    {LINES("[a:1, # first\n    b:1]"), NULL, "b:1", LINES("[a:1 # first\n    ]")},
    {LINES("[a:1, b:1, # both\n    c:1]"), NULL, "b:1", LINES("[a:1, # both\n    c:1]")},
    {LINES("[a:1, b:1 # both, [x]\n  ]"), "c:1", "b:1",
     LINES("[a:1, c:1 # both, [x]\n  ]")},
    /* commas in front */
    {LINES("[ a:1\n    , b:1\n    , c:1\n    ]"), NULL, "b:1",
     LINES("[ a:1\n    , c:1\n    ]")},
    {LINES("[ a:1\n    , b:1\n    , c:1\n    ]"), NULL, "c:1",
     LINES("[ a:1\n    , b:1\n    ]")},
    {LINES("[ a:1\n    , b:1 # x\n    ]"), "c:1 d:1", NULL,
     LINES("[ a:1\n    , b:1 # x\n    , c:1\n    , d:1\n    ]")},
    {LINES("[ a:1\n    , b:1 ]"), "c:1", NULL, LINES("[ a:1\n    , b:1\n    , c:1 ]")},
    {LINES("[ a:1\n    , b:1 ]"), NULL, "b:1", LINES("[ a:1 ]")},
    {LINES("[\n    a:1\n    ,\n  ]"), "b:1", NULL, LINES("[\n    a:1\n    , b:1,\n  ]")},
    /* nothing to do */
    {FLOW("[a:1 , b:1,]"), "a:1", NULL, NULL},
    {FLOW("[a:1]"), NULL, "b:1", NULL},
};

static void lists_in_brackets(void **state)
{
    (void)state;
    check_rows(flows, DS_COUNT(flows));
}

/* ---- refused ---- */

static const struct {
    const char *text, *add, *remove, *words;
    enum ds_code code;
} refused[] = {
    {TOP "  - a:1\n", NULL, "a:1", "f.yml: no server would be left", DS_E_CONFIG},
    {FLOW("[a:1, b:1]"), NULL, "a:1 b:1", "no server would be left", DS_E_CONFIG},
    {TOP "  - a:1\n", "b:1", "b:1", "'b:1' cannot be added and removed", DS_E_USAGE},
    {TOP "  - a:1\n  - b:1\n", "A:1", "a:1", "cannot be added and removed", DS_E_USAGE},
    {TOP "  - a:1\n", "b:1*101", NULL, "f.yml:4", DS_E_CONFIG},
    /* what is no configuration before or afterwards */
    {"", "b:1", NULL, "f.yml:1:1: the file is empty", DS_E_CONFIG},
    {TOP "  - a:1\n  - a:1\n", "b:1", NULL, "f.yml:4:5: ", DS_E_CONFIG},
    {TOP "  - a:1\nrings: {}\n", "b:1", NULL, "f.yml:4:1: unknown key", DS_E_CONFIG},
    {TOP "  - a:1\n - b:1\n", "b:1", NULL, "f.yml:", DS_E_CONFIG},
    {"pushgateway:\n  servers: &x [a:1]\n", "b:1", NULL, "an anchor", DS_E_CONFIG},
    {"pushgateway:\n  servers: []\n", "b:1", NULL, "the list is empty", DS_E_CONFIG},
    {"pushgateway:\n  servers: a:1\n", "b:1", NULL, "pushgateway.servers", DS_E_CONFIG},
    {TOP "  - a:1\n  - b:1\nring: {min_healthy: 2}\n", NULL, "b:1", "min_healthy",
     DS_E_CONFIG},
    {"\xFF\xFEp\0", "b:1", NULL, "UTF-16", DS_E_CONFIG},
    {TOP "  - a:1\n# \xFF\n", "b:1", NULL, "f.yml:4:3", DS_E_CONFIG},
    /* what is read and not understood well enough */
    {TOP "  - >-\n    a:1\n  - b:1\n", NULL, "a:1", "f.yml:3: ", DS_E_CONFIG},
    {TOP "  - b:1\n  - addr: |-\n      a:1\n", "c:1", NULL, "several lines", DS_E_CONFIG},
    {"? pushgateway\n: ? servers\n  : - a:1\n    - b:1\n", NULL, "a:1",
     "f.yml:3: pushgateway.servers cannot be edited: an item shares its line",
     DS_E_CONFIG},
};

static void what_cannot_be_edited_is_refused_and_nothing_comes_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < DS_COUNT(refused); i++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(100000);
        struct ds_error err = DS_ERROR_INIT;
        bool changed;

        if (edit_text(refused[i].text, refused[i].add, refused[i].remove, &out, &changed,
                      &err) == 0)
            fail_msg("%s: became %s", refused[i].text, out.data);
        if (!strstr(err.text, refused[i].words))
            fail_msg("'%s' is not in '%s'", refused[i].words, err.text);
        assert_int_equal(err.code, refused[i].code);
        assert_int_equal(out.len, 0);
    }
}

static void a_result_that_is_too_large_is_refused(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(2 * DS_CONFIG_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;
    bool changed;

    (void)state;
    ds_buf_adds(&text, TOP "  - a:1\n#");
    while (text.len < DS_CONFIG_BYTES_MAX)
        ds_buf_addc(&text, 'x');
    assert_int_equal(edit_text(text.data, "b:1", NULL, &out, &changed, &err), -1);
    assert_non_null(strstr(err.text, "f.yml is longer than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_lists),
        cmocka_unit_test(lists_in_brackets),
        cmocka_unit_test(what_cannot_be_edited_is_refused_and_nothing_comes_out),
        cmocka_unit_test(a_result_that_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
