/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/server.h"

#include <stdlib.h>

static void addresses_get_their_canonical_name(void **state)
{
    static const struct {
        const char *text;
        unsigned default_port;
        const char *address;
    } rows[] = {
        {"10.0.0.1", 9091, "10.0.0.1:9091"},
        {"10.0.0.1:9092", 9091, "10.0.0.1:9092"},
        {"10.0.0.1:9092", 0, "10.0.0.1:9092"},
        {"10.0.0.1:09092", 0, "10.0.0.1:9092"},
        {"0.0.0.0:1", 0, "0.0.0.0:1"},
        {"255.255.255.255:65535", 0, "255.255.255.255:65535"},
        {"localhost", 9091, "localhost:9091"},
        {"PG-1.Example.internal", 9091, "PG-1.Example.internal:9091"},
        {"push_gateway_1:9091", 0, "push_gateway_1:9091"},
        {"1a:9091", 0, "1a:9091"},
        {"10.0.0.1.example:9091", 0, "10.0.0.1.example:9091"},
        {"[::1]", 9091, "[::1]:9091"},
        {"[::1]:9092", 9091, "[::1]:9092"},
        {"::1", 9091, "[::1]:9091"},
        {"2001:DB8:0:0:0:0:0:1", 9091, "[2001:db8::1]:9091"},
        {"[2001:db8:0:1:1:1:1:1]:80", 0, "[2001:db8:0:1:1:1:1:1]:80"},
        {"[fe80:0:0:0:0:0:0:0]:80", 0, "[fe80::]:80"},
        {"[::]:80", 0, "[::]:80"},
        {"[::ffff:10.0.0.1]:80", 0, "[::ffff:10.0.0.1]:80"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        char out[DS_ADDRESS_MAX], again[DS_ADDRESS_MAX];

        assert_ok(ds_address_parse(out, rows[i].text, rows[i].default_port, &err), &err);
        assert_string_equal(out, rows[i].address);
        assert_ok(ds_address_parse(again, out, 0, &err), &err);
        assert_string_equal(again, out);
    }
}

static void bad_addresses_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        unsigned default_port;
        const char *error;
    } rows[] = {
        {"", 9091, "'' has no host: host:port is expected"},
        {":9091", 9091, "':9091' has no host: host:port is expected"},
        {"[]:9091", 9091, "'[]:9091' has no host: host:port is expected"},
        {"10.0.0.1", 0, "'10.0.0.1' has no port: host:port is expected"},
        {"::1", 0, "'::1' has no port: host:port is expected"},
        {"[::1]", 0, "'[::1]' has no port: host:port is expected"},
        {"10.0.0.1:0", 9091, "'10.0.0.1:0' has a bad port: 1 to 65535 is expected"},
        {"10.0.0.1:", 9091, "'10.0.0.1:' has a bad port: 1 to 65535 is expected"},
        {"h:65536", 9091, "'h:65536' has a bad port: 1 to 65535 is expected"},
        {"h:+80", 9091, "'h:+80' has a bad port: 1 to 65535 is expected"},
        {"h:80/x", 9091, "'h:80/x' has a bad port: 1 to 65535 is expected"},
        {"[::1]:x", 9091, "'[::1]:x' has a bad port: 1 to 65535 is expected"},
        {"10.0.0.256", 9091, "'10.0.0.256' is not a valid IPv4 address"},
        {"10.0.0", 9091, "'10.0.0' is not a valid IPv4 address"},
        {"10.0.0.01", 9091, "'10.0.0.01' is not a valid IPv4 address"},
        {"10.0.0.0x1", 9091, "'10.0.0.0x1' is not a valid IPv4 address"},
        {"1.2.3.4.5:9091", 9091, "'1.2.3.4.5:9091' is not a valid IPv4 address"},
        {"12345", 9091, "'12345' is not a valid IPv4 address"},
        {"[::g]:1", 9091, "'[::g]:1' is not a valid IPv6 address"},
        {"1:2:3", 9091, "'1:2:3' is not a valid IPv6 address"},
        {"fe80::1%eth0", 9091, "'fe80::1%eth0' is not a valid IPv6 address"},
        {"[10.0.0.1]:1", 9091, "'[10.0.0.1]:1' is not a valid IPv6 address"},
        {"[::1", 9091, "'[::1' is not like [ipv6]:port"},
        {"[::1]9091", 9091, "'[::1]9091' is not like [ipv6]:port"},
        {"http://h:1", 9091, "'http://h:1' has a scheme: just host:port is expected"},
        {"a b", 9091, "'a b' is not a host: a name or an IP address is expected"},
        {" h", 9091, "' h' is not a host: a name or an IP address is expected"},
        {"h/x", 9091, "'h/x' is not a host: a name or an IP address is expected"},
        {"-h", 9091, "'-h' is not a host: a name or an IP address is expected"},
        {"h-", 9091, "'h-' is not a host: a name or an IP address is expected"},
        {"a..b", 9091, "'a..b' is not a host: a name or an IP address is expected"},
        {".a", 9091, "'.a' is not a host: a name or an IP address is expected"},
        {"a.", 9091, "'a.' is not a host: a name or an IP address is expected"},
        {"u@h", 9091, "'u@h' is not a host: a name or an IP address is expected"},
        {"h\n", 9091, "'h\\n' is not a host: a name or an IP address is expected"},
        {"\xC3\xA4", 1, "'\xC3\xA4' is not a host: a name or an IP address is expected"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        char out[DS_ADDRESS_MAX];

        assert_int_equal(ds_address_parse(out, rows[i].text, rows[i].default_port, &err),
                         -1);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_string_equal(err.text, rows[i].error);
    }
}

/* Fills name with labels of 'a' of at most `label` bytes, `len` bytes in all. */
static void long_name(char *name, size_t len, size_t label)
{
    for (size_t i = 0; i < len; i++)
        name[i] = i % (label + 1) == label ? '.' : 'a';
    name[len] = '\0';
}

static void a_name_has_at_most_253_bytes(void **state)
{
    char name[5000], out[DS_ADDRESS_MAX];
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    long_name(name, 253, 63);
    assert_ok(ds_address_parse(out, name, 65535, &err), &err);
    assert_int_equal(strlen(out), 253 + 6);
    long_name(name, 254, 63);
    assert_int_equal(ds_address_parse(out, name, 65535, &err), -1);
    assert_non_null(strstr(err.text, "too long a host"));
    long_name(name, 100, 64);
    assert_int_equal(ds_address_parse(out, name, 65535, &err), -1);
    long_name(name, sizeof name - 1, 63);
    assert_int_equal(ds_address_parse(out, name, 65535, &err), -1);
    assert_non_null(strstr(err.text, "...' has too long a host"));
    assert_true(strlen(err.text) < 700);
}

static void names_are_told_from_addresses(void **state)
{
    (void)state;
    assert_true(ds_address_is_name("localhost:9091"));
    assert_true(ds_address_is_name("pg1.example:9091"));
    assert_false(ds_address_is_name("10.0.0.1:9091"));
    assert_false(ds_address_is_name("[::1]:9091"));
}

static void host_names_differ_by_more_than_case(void **state)
{
    (void)state;
    assert_true(ds_address_equal("PG1.example:9091", "pg1.EXAMPLE:9091"));
    assert_false(ds_address_equal("pg1:9091", "pg1:9092"));
    assert_false(ds_address_equal("pg1:9091", "pg11:9091"));
}

static void servers_are_ordered_bytewise(void **state)
{
    struct ds_server servers[] = {
        {"b:1", 1}, {"10.0.0.2:1", 1}, {"a:1", 1}, {"B:1", 1}, {"10.0.0.10:1", 1}};
    static const char *const want[] = {"10.0.0.10:1", "10.0.0.2:1", "B:1", "a:1", "b:1"};

    (void)state;
    qsort(servers, DS_COUNT(servers), sizeof *servers, ds_server_compare);
    for (size_t i = 0; i < DS_COUNT(want); i++)
        assert_string_equal(servers[i].address, want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_get_their_canonical_name),
        cmocka_unit_test(bad_addresses_are_refused_with_a_reason),
        cmocka_unit_test(a_name_has_at_most_253_bytes),
        cmocka_unit_test(names_are_told_from_addresses),
        cmocka_unit_test(host_names_differ_by_more_than_case),
        cmocka_unit_test(servers_are_ordered_bytewise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
