/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "random.h"
#include "state_text.h"

enum { CHANGED_BYTES = 3000 };

/* The text is refused, and the error's words have all of the words in it. */
static void assert_refused(const struct ds_buf *text, const char *a, const char *b)
{
    static const struct ds_state nothing;
    DS_AUTO(state) struct ds_state state = nothing;
    struct ds_error err = DS_ERROR_INIT;

    if (ds_state_parse(&state, text->data, text->len, &err) == 0)
        fail_msg("taken: %s, %s", a, b);
    assert_int_equal(err.code, DS_E_FORMAT);
    if (!strstr(err.text, a) || !strstr(err.text, b))
        fail_msg("'%s' says nothing of %s, %s", err.text, a, b);
    assert_int_equal(state.n_servers + state.n_history + state.generation, 0);
    assert_string_equal(state.scheme, "http");
}

static void assert_taken(const struct ds_buf *text)
{
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_state_parse(&state, text->data, text->len, &err), &err);
}

/* The objects of the full file; new references. */
enum { N_OBJECTS = 5 };
static const char *const OBJECTS[N_OBJECTS] = {"", "servers", "history", "frozen",
                                               "operation"};

static json_t *find_object(json_t *root, size_t i)
{
    json_t *found = i ? json_object_get(root, OBJECTS[i]) : root;

    return json_is_array(found) ? json_array_get(found, 1) : found;
}

static void check_without(size_t object, const char *key)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

    json_object_del(find_object(root, object), key);
    if (strcmp(key, "checksum") == 0) {
        char *bare = json_dumps(root, JSON_COMPACT);

        ds_buf_init(&text, DS_STATE_BYTES_MAX);
        ds_buf_adds(&text, bare);
        free(bare);
    } else {
        dump_json(root, &text);
    }
    assert_refused(&text, OBJECTS[object], key);
}

static void each_key_must_be_there(void **state)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);

    (void)state;
    for (size_t i = 0; i < N_OBJECTS; i++) {
        const char *key;
        json_t *value;

        json_object_foreach(find_object(root, i), key, value)
        {
            check_without(i, key);
        }
    }
}

static void no_other_key_may_be_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OBJECTS; i++) {
        DS_AUTO(json) json_t *root = load_json(STATE_FULL);
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

        json_object_set_new(find_object(root, i), "colour", json_null());
        dump_json(root, &text);
        assert_refused(&text, OBJECTS[i], "colour");
    }
}

static void check_with(size_t object, const char *key, const char *value)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);
    DS_AUTO(json) json_t *other = json_loads(value, JSON_DECODE_ANY, NULL);
    const json_t *real = json_object_get(find_object(root, object), key);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

    if (strcmp(key, "checksum") == 0 || json_typeof(real) == json_typeof(other) ||
        (json_is_boolean(real) && json_is_boolean(other)) ||
        (json_is_null(other) && (!strcmp(key, "frozen") || !strcmp(key, "operation"))))
        return;
    json_object_set(find_object(root, object), key, other);
    dump_json(root, &text);
    assert_refused(&text, OBJECTS[object], key);
}

static void each_value_must_have_its_type(void **state)
{
    static const char *const values[] = {"null", "true",  "false",   "1",
                                         "1.0",  "\"1\"", "[\"x\"]", "{\"x\":1}"};
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);

    (void)state;
    for (size_t i = 0; i < N_OBJECTS; i++) {
        const char *key;
        json_t *value;

        json_object_foreach(find_object(root, i), key, value)
        {
            for (size_t k = 0; k < DS_COUNT(values); k++)
                check_with(i, key, values[k]);
        }
    }
}

/* Other values of the right type, or within lists. */
static const struct {
    size_t object; /* of OBJECTS */
    const char *key, *value, *words;
} WRONG[] = {
    {0, "checked_at", "-1", "\"checked_at\" is -1: 0 to 9007199254740992 is expected"},
    {0, "checked_at", "9007199254740993", "\"checked_at\" is 9007199254740993"},
    {0, "checked_at", "9223372036854775807", "\"checked_at\" is 9223372036854775807"},
    {0, "written_at", "-9223372036854775808", "\"written_at\" is -9223372036854775808"},
    {0, "generation", "-1", "\"generation\" is -1"},
    {0, "generation", "9007199254740993", "\"generation\""},
    {0, "generation", "0", "\"generation\""},
    {0, "replicas", "0", "\"replicas\" is 0: 1 to 10000 is expected"},
    {0, "replicas", "10001", "\"replicas\" is 10001"},
    {0, "replicas", "4294967796", "\"replicas\" is 4294967796"}, /* 2^32 + 500 */
    {0, "format", "0", "\"format\" is 0"},
    {0, "format", "-1", "\"format\" is -1"},
    {0, "scheme", "\"ftp\"", "\"scheme\" is 'ftp', which is none of its values"},
    {0, "scheme", "\"HTTP\"", "\"scheme\" is 'HTTP'"},
    {0, "scheme", "\"\"", "\"scheme\" is ''"},
    {0, "source", "\"magic\"", "\"source\" is 'magic'"},
    {0, "route_prefix", "\"push\"", "\"route_prefix\" is 'push'"},
    {0, "route_prefix", "\"/push/\"", "\"route_prefix\" is '/push/'"},
    {0, "route_prefix", "\"/\"", "\"route_prefix\" is '/'"},
    {0, "route_prefix", "\"/a b\"", "\"route_prefix\" has a character"},
    {0, "route_prefix", "\"/a\\r\\nX: y\"", "\"route_prefix\" has a control character"},
    {0, "route_prefix", "\"/a?b\"", "\"route_prefix\" has a character"},
    {0, "route_prefix", "\"/a%62\"", "\"route_prefix\" has a character"},
    {0, "route_prefix", "\"/\\u00e9\"", "\"route_prefix\" has a character"},
    {0, "digest", "\"\"", "\"digest\" is '', but its members give 'fbc61b21d5c7c81f'"},
    {0, "digest", "\"FBC61B21D5C7C81F\"", "\"digest\" is 'FBC61B21D5C7C81F'"},
    {0, "digest", "\"fbc61b21d5c7c81f0\"", "\"digest\""},
    {0, "history", "[0]", "\"history\"[0]"},
    {0, "history", "[null]", "\"history\"[0]"},
    {0, "servers", "[]", "\"digest\""},
    {0, "servers", "[7]", "\"servers\"[0]"},
    {1, "address", "\"\"", "\"servers\"[1]"},
    {1, "address", "\"10.0.0.2\"", "'10.0.0.2'"},
    {1, "address", "\"10.0.0.2:09091\"", "'10.0.0.2:09091'"},
    {1, "address", "\"010.0.0.2:9091\"", "'010.0.0.2:9091'"},
    {1, "address", "\"[2001:0db8::1]:9091\"", "should be written '[2001:db8::1]:9091'"},
    {1, "address", "\"a\\r\\nb:1\"", "\"servers\"[1]"},
    {1, "address", "\"10.0.0.1:9091\"",
     "\"servers\"[1]: '10.0.0.1:9091' is there twice or not in order"},
    {1, "address", "\"10.0.0.0:9091\"", "is there twice or not in order"},
    {1, "address", "\"10.0.0.3:9091\"", "\"digest\""},
    {1, "weight", "0", "\"weight\" is 0: 1 to 100 is expected"},
    {1, "weight", "101", "\"weight\" is 101"},
    {1, "weight", "4294967297", "\"weight\" is 4294967297"},
    {1, "weight", "2", "\"digest\""},
    {1, "member", "false", "\"digest\""},
    {1, "intent", "\"\"", "\"intent\" is ''"},
    {1, "intent", "\"In\"", "\"intent\" is 'In', which is none of its values"},
    {1, "health", "\"dead\"", "\"health\" is 'dead'"},
    {1, "since", "-1", "\"since\" is -1"},
    {1, "hold_until", "-1", "\"hold_until\" is -1"},
    {1, "hold_until", "1764000013000", "\"hold_until\""},
    {1, "flaps", "[1,2,3,4,5,6,7,8,9]", "\"flaps\" wants a list of at most 8 times"},
    {1, "flaps", "[\"1\"]", "\"flaps\" wants whole numbers"},
    {1, "flaps", "[1.5]", "\"flaps\" wants whole numbers"},
    {1, "flaps", "[-1]", "\"flaps\" is -1"},
    {2, "at", "-1", "\"history\"[1]: \"at\" is -1"},
    {2, "generation", "0", "\"history\"[1]: \"generation\" is 0"},
    {2, "moved_ppm", "-1", "\"moved_ppm\" is -1"},
    {2, "moved_ppm", "1000001", "\"moved_ppm\" is 1000001: 0 to 1000000 is expected"},
    {2, "cause", "\"chance\"", "\"cause\" is 'chance'"},
    {2, "added", "[\"a\"]", "'a'"},
    {1, "why", "\"a\\nb\"", "\"why\" has a control character"},
    {2, "added", "[1]", "\"added\" wants strings"},
    {2, "removed", "[\"a:1\",null]", "\"removed\" wants strings"},
    {2, "removed", "[\"a:1\",\"A b:1\"]", "'A b:1'"},
    {3, "since", "-1", "\"frozen\": \"since\" is -1"},
    {4, "since", "9007199254740993", "\"operation\": \"since\" is 9007199254740993"},
};

static void each_value_must_be_possible(void **state)
{
    (void)state;
    for (size_t i = 0; i < DS_COUNT(WRONG); i++) {
        DS_AUTO(json) json_t *root = load_json(STATE_FULL);
        DS_AUTO(json)
        json_t *value = json_loads(WRONG[i].value, JSON_DECODE_ANY, NULL);
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

        assert_non_null(value);
        json_object_set(find_object(root, WRONG[i].object), WRONG[i].key, value);
        dump_json(root, &text);
        assert_refused(&text, WRONG[i].words, "");
    }
}

/* Texts of the longest length, and one byte more. */
static void texts_have_a_longest_length(void **state)
{
    static const struct {
        size_t object;
        const char *key;
        size_t max;
    } rows[] = {
        {0, "written_by", 1024}, {1, "why", 200},   {3, "reason", 1024},
        {4, "kind", 1024},       {4, "step", 1024}, {4, "by", 1024},
    };
    char words[1100];

    (void)state;
    memset(words, 'x', sizeof words);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(json) json_t *root = load_json(STATE_FULL);
        DS_AUTO(buf) struct ds_buf fits = DS_BUF_INIT(0), over = DS_BUF_INIT(0);
        json_t *object = find_object(root, rows[i].object);

        json_object_set_new(object, rows[i].key, json_stringn(words, rows[i].max));
        dump_json(root, &fits);
        assert_taken(&fits);
        json_object_set_new(object, rows[i].key, json_stringn(words, rows[i].max + 1));
        dump_json(root, &over);
        assert_refused(&over, rows[i].key, "is longer than");
    }
}

/* A list of many copies of its second element. */
static void lengthen(json_t *root, const char *key, size_t n)
{
    DS_AUTO(json) json_t *list = json_array();
    json_t *one = json_array_get(json_object_get(root, key), 1);

    for (size_t i = 0; i < n; i++)
        json_array_append(list, one);
    json_object_set(root, key, list);
}

static void lists_have_a_longest_length(void **state)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);
    DS_AUTO(buf) struct ds_buf fits = DS_BUF_INIT(0), over = DS_BUF_INIT(0);
    DS_AUTO(buf) struct ds_buf many = DS_BUF_INIT(0);

    (void)state;
    lengthen(root, "history", DS_HISTORY_MAX);
    dump_json(root, &fits);
    assert_taken(&fits);
    lengthen(root, "history", DS_HISTORY_MAX + 1);
    dump_json(root, &over);
    assert_refused(&over, "\"history\"", "at most 20");
    lengthen(root, "history", DS_HISTORY_MAX);
    lengthen(root, "servers", DS_SERVERS_MAX + 1);
    dump_json(root, &many);
    assert_refused(&many, "\"servers\"", "at most 1000");
}

/* 100 * 10000 points a server: two of them are too many. */
static void too_many_points_are_refused(void **state)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    json_t *servers = json_object_get(root, "servers");

    (void)state;
    json_object_set_new(root, "replicas", json_integer(10000));
    json_object_set_new(json_array_get(servers, 0), "weight", json_integer(100));
    dump_json(root, &text);
    assert_refused(&text, "points", "1010000 points are more than 1000000");
}

static void the_checksum_finds_what_was_changed_by_hand(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    char *found;

    (void)state;
    read_text(&text, STATE_FULL);
    found = strstr(text.data, "connect: refused");
    found[0] = 'C';
    assert_refused(&text, "the checksum is wrong", "damaged or changed by hand");
}

/* Every byte changed to some other: nobody takes it for the same state. */
static void any_changed_byte_is_found(void **state)
{
    struct random r = random_start(__func__);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    size_t taken = 0;

    (void)state;
    read_text(&text, STATE_FULL);
    for (int i = 0; i < CHANGED_BYTES; i++) {
        size_t at = random_below(&r, text.len - 1); /* not the newline at the end */
        char before = text.data[at];
        DS_AUTO(state) struct ds_state parsed = {0};
        struct ds_error err = DS_ERROR_INIT;

        text.data[at] = (char)(before ^ (1 + (int)random_below(&r, 255)));
        if (ds_state_parse(&parsed, text.data, text.len, &err) == 0)
            taken++;
        else
            assert_true(err.code == DS_E_FORMAT || err.code == DS_E_NEWER);
        text.data[at] = before;
    }
    assert_int_equal(taken, 0);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    static const char *const paths[] = {STATE_FULL, STATE_EMPTY};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

        read_text(&text, paths[i]);
        assert_taken(&text);
        ds_buf_truncate(&text, text.len - 1); /* all but the newline is whole */
        assert_taken(&text);
        while (text.len) {
            DS_AUTO(ptr) void *copy = ds_xmalloc(text.len - 1);
            DS_AUTO(state) struct ds_state parsed = {0};
            struct ds_error err = DS_ERROR_INIT;

            ds_buf_truncate(&text, text.len - 1);
            memcpy(copy, text.data, text.len); /* so that a read behind it is seen */
            assert_int_equal(ds_state_parse(&parsed, copy, text.len, &err), -1);
            assert_int_equal(err.code, DS_E_FORMAT);
        }
    }
}

/* What stands in place of a file's text, or of the value of "by" in it. */
static void what_is_no_state_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "it is empty"},
        {"\n", "line"},
        {"null", "line 1, column"},
        {"[]", "it is no JSON object"},
        {"{}", "\"format\" is missing"},
        {"{\"format\":\"1\"}", "\"format\" is missing or no whole number"},
        {"{\"format\":1}", "\"checksum\" is missing"},
        {"{\"format\":1,\"format\":1}", "duplicate"},
        {"<html>", "line 1, column"},
        {"{\"format\":99999999999999999999}", "line 1"},
        {"\xEF\xBB\xBF{}", "line 1"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);

        ds_buf_adds(&text, rows[i].text);
        assert_refused(&text, rows[i].words, "");
    }
}

static void odd_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"host:4\0", 7},      {"host:\\u0000", 11}, {"host:\xFF ", 7},
        {"host:\xC0\x80", 7}, {"ho\x01t:43", 7},    {"\xED\xA0\x80:", 4},
        {"host:\\ud800", 11}, {"host\n:43", 8},     {"\xF4\x90\x80\x80", 4},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0), odd = DS_BUF_INIT(10000);
        const char *at;

        read_text(&text, STATE_FULL);
        at = strstr(text.data, "host:43");
        ds_buf_add(&odd, text.data, (size_t)(at - text.data));
        ds_buf_add(&odd, rows[i].bytes, rows[i].len);
        ds_buf_adds(&odd, at + strlen("host:43"));
        assert_refused(&odd, "line 1, column", "");
    }
}

static void what_follows_the_object_is_refused(void **state)
{
    static const char *const tails[] = {"{}", "x", "]", "\0"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(tails); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

        read_text(&text, STATE_FULL);
        ds_buf_add(&text, tails[i], 1);
        assert_refused(&text, "line", "");
    }
}

static void a_key_that_is_there_twice_is_refused(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0), twice = DS_BUF_INIT(10000);

    (void)state;
    read_text(&text, STATE_FULL);
    ds_buf_adds(&twice, "{\"generation\":7,");
    ds_buf_adds(&twice, text.data + 1);
    assert_refused(&twice, "duplicate", "generation");
}

static void a_newer_format_is_told_from_damage(void **state)
{
    static const char *const newer[] = {"{\"format\":2}",
                                        "{\"format\":2,\"checksum\":7,\"new\":[]}",
                                        "{\"format\":9007199254740993}"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(newer); i++) {
        DS_AUTO(state) struct ds_state parsed = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(ds_state_parse(&parsed, newer[i], strlen(newer[i]), &err), -1);
        assert_int_equal(err.code, DS_E_NEWER);
        assert_non_null(strstr(err.text, "is newer than this dshard, which knows 1"));
    }
}

/* Spaces and the order of keys are for writers only. */
static void another_layout_means_the_same(void **state)
{
    DS_AUTO(json) json_t *root = load_json(STATE_FULL);
    DS_AUTO(buf) struct ds_buf again = DS_BUF_INIT(100000), text = DS_BUF_INIT(0);
    DS_AUTO(state) struct ds_state parsed = {0};
    struct ds_error err = DS_ERROR_INIT;
    char *pretty = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);

    (void)state;
    assert_ok(ds_state_parse(&parsed, pretty, strlen(pretty), &err), &err);
    free(pretty);
    ds_state_format(&parsed, &again);
    read_text(&text, STATE_FULL);
    assert_string_equal(again.data, text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_must_be_there),
        cmocka_unit_test(no_other_key_may_be_there),
        cmocka_unit_test(each_value_must_have_its_type),
        cmocka_unit_test(each_value_must_be_possible),
        cmocka_unit_test(texts_have_a_longest_length),
        cmocka_unit_test(lists_have_a_longest_length),
        cmocka_unit_test(too_many_points_are_refused),
        cmocka_unit_test(the_checksum_finds_what_was_changed_by_hand),
        cmocka_unit_test(any_changed_byte_is_found),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(what_is_no_state_is_refused),
        cmocka_unit_test(odd_bytes_are_refused),
        cmocka_unit_test(what_follows_the_object_is_refused),
        cmocka_unit_test(a_key_that_is_there_twice_is_refused),
        cmocka_unit_test(a_newer_format_is_told_from_damage),
        cmocka_unit_test(another_layout_means_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
