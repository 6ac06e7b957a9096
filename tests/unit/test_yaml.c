/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/buf.h"
#include "dshard/yaml.h"

static int parse(struct ds_yaml *yaml, const char *text)
{
    return ds_yaml_parse(yaml, text, strlen(text));
}

static void assert_mark(struct ds_yaml_mark mark, unsigned line, unsigned column)
{
    assert_int_equal(mark.line, line);
    assert_int_equal(mark.column, column);
}

static void maps_lists_and_scalars_become_nodes(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    const struct ds_yaml_node *list;

    (void)state;
    assert_int_equal(parse(&yaml, "a: 1\nb:\n  - x\n  - [y, \"z\"]\nc: {d: e}\n"), 0);
    assert_int_equal(yaml.root->kind, DS_YAML_MAP);
    assert_int_equal(yaml.root->n_items, 3);
    assert_string_equal(ds_yaml_get(yaml.root, "a")->text, "1");
    list = ds_yaml_get(yaml.root, "b");
    assert_int_equal(list->kind, DS_YAML_LIST);
    assert_int_equal(list->n_items, 2);
    assert_false(list->flow);
    assert_true(list->items[1]->flow);
    assert_true(list->items[1]->items[0]->plain);
    assert_false(list->items[1]->items[1]->plain);
    assert_string_equal(ds_yaml_get(ds_yaml_get(yaml.root, "c"), "d")->text, "e");
    assert_null(ds_yaml_get(yaml.root, "d"));
    assert_null(ds_yaml_get(list, "x"));
    assert_null(ds_yaml_get(NULL, "x"));
}

static void marks_count_lines_and_characters_from_1(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    const struct ds_yaml_node *list;

    (void)state;
    assert_int_equal(parse(&yaml, "# \xC3\xA4\n\xC3\xA4\xC3\xB6: [x, \"\xC3\xBC\", z]\n"),
                     0);
    list = yaml.root->items[0];
    assert_mark(list->key->start, 2, 1);
    assert_mark(list->key->end, 2, 3);
    assert_mark(list->start, 2, 5);
    assert_mark(list->end, 2, 16);
    assert_mark(list->items[1]->start, 2, 9);
    assert_mark(list->items[1]->end, 2, 12);
    assert_mark(list->items[2]->start, 2, 14);
}

/* What an edit of the servers list goes by. */
static void a_block_list_ends_behind_the_comments_and_its_last_item_before(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    const struct ds_yaml_node *list;

    (void)state;
    assert_int_equal(parse(&yaml, "s:\n  - a # one\n  - b # two\n# end\n\nt: 1\n"), 0);
    list = ds_yaml_get(yaml.root, "s");
    assert_mark(list->items[1]->start, 3, 5);
    assert_mark(list->items[1]->end, 3, 6);
    assert_mark(list->end, 6, 1);
}

static void null_and_booleans_are_known_and_never_in_quotes(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    const struct ds_yaml_node *list;
    static const char text[] = "[~, null, Null, NULL, \"\", '~', \"null\", yes, No, ON, "
                               "off, TRUE, false, 'on', y]";

    (void)state;
    assert_int_equal(parse(&yaml, text), 0);
    list = yaml.root;
    assert_int_equal(list->n_items, 15);
    for (size_t i = 0; i < list->n_items; i++) {
        assert_int_equal(ds_yaml_is_null(list->items[i]), i < 4);
        assert_int_equal(ds_yaml_is_bool(list->items[i]), i >= 7 && i < 13);
    }
    assert_false(ds_yaml_is_null(list));
    assert_false(ds_yaml_is_bool(list));
}

static void control_characters_are_noticed(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    static const char text[] =
        "[\"a b\", \"\\u00e9\\u00a0\", \"\\0\", \"a\\n\", \"\\x7f\", \"\\x9b1m\"]";

    (void)state;
    assert_int_equal(parse(&yaml, text), 0);
    for (size_t i = 0; i < yaml.root->n_items; i++)
        assert_int_equal(ds_yaml_is_printable(yaml.root->items[i]), i < 2);
    assert_int_equal(yaml.root->items[2]->len, 1);
}

static void an_empty_text_has_no_root_and_no_problem(void **state)
{
    static const char *const texts[] = {"", "\n", "# only words\n", "\xEF\xBB\xBF"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;

        assert_int_equal(parse(&yaml, texts[i]), 0);
        assert_null(yaml.root);
    }
}

static void bad_syntax_is_the_only_problem_and_leaves_no_root(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *part;
    } rows[] = {
        {"a:\n\tb: 1\n", 2, 1, "spaces, not with tabs"},
        {"a: [1, 2\nb: 3\n", 2, 2, "begins in line 1, column 4"},
        {"a: \"b\n", 2, 1, "a quote or bracket is not closed"},
        {"a: b: c\n", 1, 5, "mapping values are not allowed"},
        {"a: @b\n", 1, 4, "begins with @, % or ` wants quotes"},
        {"- [::1]:9091\n", 1, 4, "\"[::1]:9091\""},
        {"- [fe80::1]:9091\n", 1, 12, "\"[::1]:9091\""},
        {"a: \xFF\n", 1, 4, "UTF-8"},
        {"\xC3\xA4: 1\n\xC3\xA4: \x01\n", 2, 4, "control characters"},
        {"a: 1\n- 2\n", 2, 1, "indented like the others"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;

        assert_int_equal(parse(&yaml, rows[i].text), -1);
        assert_null(yaml.root);
        assert_int_equal(yaml.n_problems, 1);
        if (!strstr(yaml.problems[0].text, rows[i].part))
            fail_msg("'%s' says: %s", rows[i].text, yaml.problems[0].text);
        assert_mark(yaml.problems[0].mark, rows[i].line, rows[i].column);
    }
}

static void what_is_yaml_and_not_accepted_leaves_a_root(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *part;
    } rows[] = {
        {"a: &x 1\nb: 2\n", 1, 4, "anchor"},
        {"a: 1\nb: *x\n", 2, 4, "alias"},
        {"a: !x 1\n", 1, 4, "tag"},
        {"a: !!str 1\n", 1, 4, "tag"},
        {"a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands twice, first in line 1, column 1"},
        {"[x]: 1\na: 2\n", 1, 1, "no key"},
        {"\"a\\e\": 1\n", 1, 1, "control character"},
        {"a: 1\n---\na: 2\n", 2, 1, "second document"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;

        assert_int_equal(parse(&yaml, rows[i].text), -1);
        assert_non_null(yaml.root);
        assert_int_equal(yaml.n_problems, 1);
        if (!strstr(yaml.problems[0].text, rows[i].part))
            fail_msg("'%s' says: %s", rows[i].text, yaml.problems[0].text);
        assert_mark(yaml.problems[0].mark, rows[i].line, rows[i].column);
    }
}

static void the_first_of_two_values_is_kept_and_an_alias_is_marked(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;

    (void)state;
    assert_int_equal(parse(&yaml, "a: 1\na: 2\nb: *a\n"), -1);
    assert_int_equal(yaml.n_problems, 2);
    assert_string_equal(ds_yaml_get(yaml.root, "a")->text, "1");
    assert_false(ds_yaml_get(yaml.root, "a")->bad);
    assert_true(ds_yaml_get(yaml.root, "b")->bad);
}

static void problems_never_hold_a_value(void **state)
{
    static const char *const texts[] = {
        "a: !hunter2 x\n", "a: &hunter2 x\n",          "a: *hunter2\n",
        "a: @hunter2\n",   "a: \"hunter2\\q\"\n",      "a: hunter2: x\n",
        "a: [hunter2\n",   "a: hunter2\na: hunter2\n",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;

        assert_int_equal(parse(&yaml, texts[i]), -1);
        for (size_t j = 0; j < yaml.n_problems; j++)
            assert_null(strstr(yaml.problems[j].text, "hunter2"));
    }
}

/* n times the text, between two others. */
static void build(struct ds_buf *out, const char *head, const char *text, size_t n,
                  const char *tail)
{
    ds_buf_adds(out, head);
    for (size_t i = 0; i < n; i++)
        ds_buf_addf(out, "%s%zu: 1, ", text, i);
    ds_buf_adds(out, tail);
}

static void depth_keys_and_nodes_have_a_maximum(void **state)
{
    static const struct {
        const char *head, *text, *tail;
        size_t n;
        int result;
    } rows[] = {
        {"{", "k", "}", DS_YAML_KEYS_MAX, 0},
        {"{", "k", "}", DS_YAML_KEYS_MAX + 1, -1},
        {"[", "k", "]", 6000, 0},
        {"[", "k", "]", 7000, -1},
        {"[[[[[[[[[[[[[[[", "k", "]]]]]]]]]]]]]]]", 1, 0},
        {"[[[[[[[[[[[[[[[[", "k", "]]]]]]]]]]]]]]]]", 1, -1},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1 << 20);

        build(&text, rows[i].head, rows[i].text, rows[i].n, rows[i].tail);
        if (ds_yaml_parse(&yaml, text.data, text.len) != rows[i].result)
            fail_msg("row %zu gives %d", i, -1 - rows[i].result);
        assert_int_equal(yaml.root != NULL, rows[i].result == 0);
    }
}

static void no_more_than_100_problems_are_kept(void **state)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1 << 16);

    (void)state;
    for (int i = 0; i < 150; i++)
        ds_buf_adds(&text, "- &a x\n");
    assert_int_equal(ds_yaml_parse(&yaml, text.data, text.len), -1);
    assert_int_equal(yaml.n_problems, DS_YAML_PROBLEMS_MAX);
    assert_int_equal(yaml.root->n_items, 150);
}

static void releasing_twice_is_fine(void **state)
{
    struct ds_yaml yaml = DS_YAML_INIT;

    (void)state;
    assert_int_equal(parse(&yaml, "a: &x [1, {b: c}]\n"), -1);
    ds_yaml_release(&yaml);
    ds_yaml_release(&yaml);
    assert_null(yaml.root);
    assert_int_equal(yaml.n_problems, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_become_nodes),
        cmocka_unit_test(marks_count_lines_and_characters_from_1),
        cmocka_unit_test(a_block_list_ends_behind_the_comments_and_its_last_item_before),
        cmocka_unit_test(null_and_booleans_are_known_and_never_in_quotes),
        cmocka_unit_test(control_characters_are_noticed),
        cmocka_unit_test(an_empty_text_has_no_root_and_no_problem),
        cmocka_unit_test(bad_syntax_is_the_only_problem_and_leaves_no_root),
        cmocka_unit_test(what_is_yaml_and_not_accepted_leaves_a_root),
        cmocka_unit_test(the_first_of_two_values_is_kept_and_an_alias_is_marked),
        cmocka_unit_test(problems_never_hold_a_value),
        cmocka_unit_test(depth_keys_and_nodes_have_a_maximum),
        cmocka_unit_test(no_more_than_100_problems_are_kept),
        cmocka_unit_test(releasing_twice_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
