/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys: sound in itself, and the same as the example and the manual say. */
#include "test.h"

#include "dshard/config.h"
#include "dshard/config_table.h"
#include "dshard/file.h"
#include "dshard/yaml.h"

#include <stdio.h>

static const char EXAMPLE[] = "examples/dshard.yml";
static const char MANUAL[] = "man/dshard.yml.5";

static void read_file(struct ds_buf *out, const char *path)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(out, path, &err), &err);
}

static char *section_of(const struct ds_config_key *key)
{
    const char *leaf = ds_config_key_leaf(key);

    return ds_xstrndup(key->name, leaf > key->name ? (size_t)(leaf - key->name) - 1 : 0);
}

static void every_key_is_found_by_its_section_and_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        DS_AUTO(str) char *section = section_of(key);

        assert_true(ds_config_key_is_in(key, section));
        assert_ptr_equal(ds_config_key_find(section, ds_config_key_leaf(key)), key);
        assert_non_null(key->meaning);
        assert_true(key->min <= key->max);
        if (!(key->flags & DS_CONFIG_REQUIRED) && !key->preset && !key->absent &&
            key->type != DS_CONFIG_MAP)
            fail_msg("%s has no default and does not say what then", key->name);
    }
    assert_null(ds_config_key_find("", "port"));
    assert_null(ds_config_key_find("pushgateway", ""));
}

static void the_expectation_has_unit_and_range(void **state)
{
    static const struct {
        const char *section, *leaf, *expects;
    } rows[] = {
        {"health_check", "interval", "a duration from 50ms to 1h"},
        {"health_check", "deregister_after", "off or a duration from 1m to 8760h"},
        {"pushgateway", "port", "a whole number from 1 to 65535"},
        {"pushgateway.servers[]", "weight", "a whole number from 1 to 100"},
        {"pushgateway", "servers", "a list of 1 to 1000 servers"},
        {"ring", "replicas", "a whole number from 1 to 10000"},
        {"watch", "groups", "off, dedupe or move"},
        {"", "watch", "a map with groups or patience"},
        {"consul_server", "username", "text of at most 256 bytes without ':'"},
        {"", "state_file", "a path of a file"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);

        ds_config_key_expects(ds_config_key_find(rows[i].section, rows[i].leaf), &text);
        assert_string_equal(text.data, rows[i].expects);
    }
}

static void a_slip_of_the_keyboard_is_guessed(void **state)
{
    static const struct {
        const char *section, *wrong, *right; /* NULL: no guess */
    } rows[] = {
        {"pushgateway", "severs", "servers"},
        {"pushgateway", "Server", "servers"},
        {"pushgateway", "servesr", "servers"},
        {"pushgateway", "route-prefix", "route_prefix"},
        {"pushgateway", "password", "password_file"},
        {"consul_server", "tokenfile", "token_file"},
        {"consul_server", "tokn", "token"},
        {"consul_server", "caFile", "ca_file"},
        {"", "push_gateway", "pushgateway"},
        {"health_check", "interval_ms", "interval"},
        {"health_check", "ries", "rise"},
        {"ring", "replica", "replicas"},
        {"ring", "vnodes", NULL},
        {"ring", "", NULL},
        {"ring", "replicasreplicasreplicasreplicasreplicasreplicas", NULL},
        {"watch", "port", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        const struct ds_config_key *guess =
            ds_config_key_guess(rows[i].section, rows[i].wrong);

        if (!guess != !rows[i].right)
            fail_msg("'%s' is guessed to be '%s'", rows[i].wrong,
                     guess ? guess->name : "nothing");
        if (guess)
            assert_string_equal(ds_config_key_leaf(guess), rows[i].right);
    }
    assert_string_equal(ds_config_key_elsewhere("replicas")->name, "ring.replicas");
    assert_null(ds_config_key_elsewhere("replica"));
}

static void slips_are_counted(void **state)
{
    (void)state;
    assert_int_equal(ds_config_slips("port", "port"), 0);
    assert_int_equal(ds_config_slips("State-File", "state_file"), 0);
    assert_int_equal(ds_config_slips("port", "prot"), 1);
    assert_int_equal(ds_config_slips("port", "ports"), 1);
    assert_int_equal(ds_config_slips("interval", "itnervla"), 2);
    assert_int_equal(ds_config_slips("port", "port_number"), 3);
    assert_int_equal(ds_config_slips("port", "path"), DS_CONFIG_FAR);
    assert_int_equal(ds_config_slips("", "a"), DS_CONFIG_FAR);
}

static void the_example_is_valid_and_says_the_defaults(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(10000);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    if (ds_config_load(&config, EXAMPLE, &complaints, &err) < 0)
        fail_msg("%s\n%s", err.text, complaints.data);
    assert_false(config.consul);
    assert_int_equal(config.pushgateway.n_servers, 3);
    assert_int_equal(config.health_check.interval_ms, 1000);
    assert_int_equal(config.ring.replicas, 500);
    assert_int_equal(config.watch.groups, DS_GROUPS_MOVE);
    assert_string_equal(config.state_file, "/var/lib/dshard/ring.json");
}

/* The example with its settings that are commented out: those have no space behind #. */
static void read_uncommented(struct ds_buf *out)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);

    read_file(&text, EXAMPLE);
    for (const char *c = text.data; *c; c++) {
        const char *line = c;

        while (line > text.data && (line[-1] == ' ' || line[-1] == '#'))
            line--;
        if (*c != '#' || c[1] == ' ' || c[1] == '\n' ||
            (line > text.data && line[-1] != '\n'))
            ds_buf_addc(out, *c);
    }
}

static void the_example_without_its_comments_is_valid_too(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(10000);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    read_uncommented(&text);
    if (ds_config_parse(&config, "uncommented", text.data, text.len, &complaints, &err) <
        0)
        fail_msg("%s\n%s", err.text, complaints.data);
    assert_true(config.consul);
}

static void every_key_is_in_the_example(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    const struct ds_yaml_node *server;

    (void)state;
    read_uncommented(&text);
    assert_int_equal(ds_yaml_parse(&yaml, text.data, text.len), 0);
    server = ds_yaml_get(ds_yaml_get(yaml.root, "pushgateway"), "servers")->items[2];
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        DS_AUTO(str) char *section = section_of(key);
        const struct ds_yaml_node *map = strstr(section, "[]") ? server
                                         : *section ? ds_yaml_get(yaml.root, section)
                                                    : yaml.root;

        /* It excludes token_file; the comment there names it. */
        if (strcmp(key->name, "consul_server.token") == 0)
            assert_non_null(strstr(text.data, "`token: TEXT`"));
        else if (!ds_yaml_get(map, ds_config_key_leaf(key)))
            fail_msg("%s does not have %s", EXAMPLE, key->name);
    }
}

/* What the manual says of a key: from its .It to the next one. */
static char *manual_item(const char *manual, const struct ds_config_key *key)
{
    DS_AUTO(str) char *section = section_of(key);
    bool of_server = strstr(section, "[]");
    DS_AUTO(str)
    char *head = of_server  ? ds_xstrdup(".Ql pushgateway.servers[]\n")
                 : *section ? ds_xasprintf("\n.Ss %s\n", section)
                            : ds_xstrdup("\n.Ss Keys outside of any section\n");
    DS_AUTO(str) char *item = ds_xasprintf("\n.It Cm %s :", ds_config_key_leaf(key));
    const char *from = strstr(manual, head), *end, *at;

    if (!from) {
        fail_msg("%s has no section for %s", MANUAL, key->name);
        return NULL;
    }
    end = strstr(from + strlen(head), "\n.Ss ");
    at = strstr(from, item);
    if (!at || (end && at > end)) {
        fail_msg("%s does not describe %s", MANUAL, key->name);
        return NULL;
    }
    end = strstr(at + 1, "\n.It ");
    return ds_xstrndup(at, end ? (size_t)(end - at) : strlen(at));
}

static void every_key_is_in_the_manual_with_range_and_default(void **state)
{
    DS_AUTO(buf) struct ds_buf manual = DS_BUF_INIT(100000);

    (void)state;
    read_file(&manual, MANUAL);
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        const char *preset = key->preset && !*key->preset ? "nothing" : key->preset;
        DS_AUTO(buf) struct ds_buf words = DS_BUF_INIT(1000);
        DS_AUTO(str) char *item = NULL;

        if (key->type == DS_CONFIG_MAP)
            continue;
        item = manual_item(manual.data, key);
        ds_buf_adds(&words, "\nValue: ");
        ds_config_key_expects(key, &words);
        if (key->flags & DS_CONFIG_REQUIRED)
            ds_buf_adds(&words, ".\nRequired.");
        else
            ds_buf_addf(&words, ".\nDefault: %s", preset ? preset : key->absent);
        if (key->consul_preset)
            ds_buf_addf(&words, "; with Consul: %s", key->consul_preset);
        if (!strstr(item, words.data))
            fail_msg("%s wants of %s: %s", MANUAL, key->name, words.data);
    }
}

static void the_manual_and_the_example_have_no_other_keys(void **state)
{
    DS_AUTO(buf) struct ds_buf manual = DS_BUF_INIT(100000);
    static const char item[] = "\n.It Cm ";

    (void)state;
    read_file(&manual, MANUAL);
    for (const char *at = strstr(manual.data, item); at; at = strstr(at + 1, item)) {
        const char *name = at + strlen(item);
        DS_AUTO(str) char *leaf = ds_xstrndup(name, strcspn(name, " \n"));

        if (!ds_config_key_elsewhere(leaf))
            fail_msg("%s describes '%s', which is no key", MANUAL, leaf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_by_its_section_and_name),
        cmocka_unit_test(the_expectation_has_unit_and_range),
        cmocka_unit_test(a_slip_of_the_keyboard_is_guessed),
        cmocka_unit_test(slips_are_counted),
        cmocka_unit_test(the_example_is_valid_and_says_the_defaults),
        cmocka_unit_test(the_example_without_its_comments_is_valid_too),
        cmocka_unit_test(every_key_is_in_the_example),
        cmocka_unit_test(every_key_is_in_the_manual_with_range_and_default),
        cmocka_unit_test(the_manual_and_the_example_have_no_other_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
