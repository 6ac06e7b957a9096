/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/options.h"

enum { ARGS_MAX = 8 };

static int parse(struct ds_options *options, const char *const *args,
                 const char *environment, struct ds_error *err)
{
    char *argv[ARGS_MAX];
    int argc = 0;

    for (; args[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc]; /* getopt's kind of const */
    *err = (struct ds_error)DS_ERROR_INIT;
    return ds_options_parse(options, argc, argv, environment, err);
}

static void without_options_the_defaults_count(void **state)
{
    const char *const args[] = {NULL};
    struct ds_options options;
    struct ds_error err;

    (void)state;
    assert_ok(parse(&options, args, NULL, &err), &err);
    assert_null(options.listen);
    assert_string_equal(options.state, "/var/lib/dshard/ring.json");
    assert_int_equal(options.mode, DS_MODE_REDIRECT);
    assert_null(options.prefix);
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.socket_mode, 0660);
}

static void every_option_is_read(void **state)
{
    const char *const args[] = {"--listen=unix:/x",
                                "--state",
                                "/s",
                                "--mode=proxy",
                                "--prefix=/a/b",
                                "--workers=3",
                                "--socket-mode=0666",
                                NULL};
    struct ds_options options;
    struct ds_error err;

    (void)state;
    assert_ok(parse(&options, args, "/from/environment", &err), &err);
    assert_string_equal(options.listen, "unix:/x");
    assert_string_equal(options.state, "/s");
    assert_int_equal(options.mode, DS_MODE_PROXY);
    assert_string_equal(options.prefix, "/a/b");
    assert_int_equal(options.workers, 3);
    assert_int_equal(options.socket_mode, 0666);
}

static void the_environment_names_the_state_file(void **state)
{
    const char *const args[] = {NULL};
    struct ds_options options;
    struct ds_error err;

    (void)state;
    assert_ok(parse(&options, args, "/from/environment", &err), &err);
    assert_string_equal(options.state, "/from/environment");
    assert_ok(parse(&options, args, "", &err), &err);
    assert_string_equal(options.state, "/var/lib/dshard/ring.json");
}

static void bad_options_are_refused_with_a_clear_line(void **state)
{
    static const struct {
        const char *args[3];
        const char *text;
    } cases[] = {
        {{"--stat=/x"}, "'--stat' is no option; did you mean --state?"},
        {{"--worker", "2"}, "'--worker' is no option; did you mean --workers?"},
        {{"-x"}, "'-x' is no option"},
        {{"--state"}, "--state wants a value: FILE"},
        {{"--state="}, "--state is empty"},
        {{"--help=x"}, "--help takes no value"},
        {{"ring.json"}, "'ring.json' is not expected: there are only options"},
        {{"--mode=Proxy"}, "--mode: 'Proxy' is not redirect, proxy or auth"},
        {{"--workers=0"}, "--workers: '0' is out of range: 1 to 256"},
        {{"--workers=257"}, "--workers: '257' is out of range: 1 to 256"},
        {{"--workers=two"}, "--workers: 'two' is not a whole number"},
        {{"--prefix=push"},
         "--prefix: the prefix 'push' is not a path like /pushgateway"},
        {{"--prefix=/a/"}, "--prefix: the prefix '/a/' is not a path like /pushgateway"},
        {{"--prefix=/a//b"},
         "--prefix: the prefix '/a//b' is not a path like /pushgateway"},
        {{"--socket-mode=rw"}, "--socket-mode: 'rw' is no mode like 0660 or 0666"},
        {{"--socket-mode=0888"}, "--socket-mode: '0888' is no mode like 0660 or 0666"},
        {{"--socket-mode=66"}, "--socket-mode: '66' is no mode like 0660 or 0666"},
        {{"--socket-mode=04755"}, "--socket-mode: '04755' is no mode like 0660 or 0666"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        struct ds_options options;
        struct ds_error err;

        assert_int_equal(parse(&options, cases[i].args, NULL, &err), -1);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(ds_code_exit_status(err.code), 2);
    }
}

static void the_help_names_every_option(void **state)
{
    static const char *const names[] = {"--listen", "--state",   "--mode",
                                        "--prefix", "--workers", "--socket-mode",
                                        "--version"};
    DS_AUTO(buf) struct ds_buf help = DS_BUF_INIT(8192);

    (void)state;
    ds_options_help(&help);
    assert_false(help.over);
    for (size_t i = 0; i < DS_COUNT(names); i++)
        assert_non_null(strstr(help.data, names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_defaults_count),
        cmocka_unit_test(every_option_is_read),
        cmocka_unit_test(the_environment_names_the_state_file),
        cmocka_unit_test(bad_options_are_refused_with_a_clear_line),
        cmocka_unit_test(the_help_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
