/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/accord.h"
#include "dshard/ring.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1024 * 1024 };

static const struct ds_server MEMBERS[] = {{.address = "10.0.0.1:9091", .weight = 1},
                                           {.address = "10.0.0.2:9091", .weight = 3},
                                           {.address = "[::1]:9091", .weight = 100}};

/* What a decider with these members writes. */
static void format(const struct ds_server *members, size_t n, const char *frozen,
                   struct ds_buf *out)
{
    struct ds_accord_ring ring = {.n = n, .replicas = 500};

    ring.members = ds_xcalloc(n, sizeof *members);
    if (n)
        memcpy(ring.members, members, n * sizeof *members);
    ring.by = ds_xstrdup("host-12345678");
    ring.frozen = frozen ? ds_xstrdup(frozen) : NULL;
    ds_ring_digest(members, n, 500, ring.digest);
    ds_accord_ring_format(&ring, out);
    ds_accord_ring_release(&ring);
}

static void assert_read_back(size_t n, const char *frozen)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(buf) struct ds_buf again = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(accord_ring) struct ds_accord_ring ring = {0};
    struct ds_error err = DS_ERROR_INIT;
    char digest[DS_DIGEST_MAX];

    format(MEMBERS, n, frozen, &text);
    assert_ok(ds_accord_ring_parse(&ring, text.data, text.len, &err), &err);
    assert_int_equal(ring.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(ring.members[i].address, MEMBERS[i].address);
        assert_int_equal(ring.members[i].weight, MEMBERS[i].weight);
    }
    assert_int_equal(ring.replicas, 500);
    assert_string_equal(ring.by, "host-12345678");
    ds_ring_digest(MEMBERS, n, 500, digest);
    assert_string_equal(ring.digest, digest);
    if (frozen)
        assert_string_equal(ring.frozen, frozen);
    else
        assert_null(ring.frozen);
    ds_accord_ring_format(&ring, &again);
    assert_string_equal(again.data, text.data);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t n = 0; n <= DS_COUNT(MEMBERS); n++)
        assert_read_back(n, NULL);
    assert_read_back(3, "0 of 3 servers are up, 1 is needed");
    assert_read_back(3, "quotes \" and \\ and \xC3\xA9");
}

static void the_words_in_the_key_are_these(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);
    char digest[DS_DIGEST_MAX], want[512];

    (void)state;
    format(MEMBERS, 1, NULL, &text);
    ds_ring_digest(MEMBERS, 1, 500, digest);
    snprintf(want, sizeof want,
             "{\"by\":\"host-12345678\",\"digest\":\"%s\",\"format\":1,\"frozen\":null,"
             "\"members\":[{\"address\":\"10.0.0.1:9091\",\"weight\":1}],"
             "\"replicas\":500}",
             digest);
    assert_string_equal(text.data, want);
}

static void members_in_any_order_are_one_ring(void **state)
{
    const struct ds_server turned[] = {MEMBERS[2], MEMBERS[0], MEMBERS[1]};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(accord_ring) struct ds_accord_ring ring = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    format(turned, 3, NULL, &text);
    assert_ok(ds_accord_ring_parse(&ring, text.data, text.len, &err), &err);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(ring.members[i].address, MEMBERS[i].address);
}

static void a_thousand_heavy_members_fit(void **state)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(DS_SERVERS_MAX, sizeof(struct ds_server));
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(accord_ring) struct ds_accord_ring ring = {0};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_server *members = list;

    (void)state;
    for (int i = 0; i < DS_SERVERS_MAX; i++) {
        snprintf(members[i].address, sizeof members[i].address,
                 "pushgateway-%04d.monitoring.example:65535", i);
        members[i].weight = 100;
    }
    format(members, DS_SERVERS_MAX, NULL, &text);
    assert_true(text.len < 512 * 1024); /* Consul's limit */
    assert_ok(ds_accord_ring_parse(&ring, text.data, text.len, &err), &err);
    assert_int_equal(ring.n, DS_SERVERS_MAX);
}

#define MEMBER "{\"address\":\"10.0.0.1:9091\",\"weight\":1}"
#define RING(format, digest, members, replicas)                                          \
    "{\"format\":" format ",\"digest\":" digest ",\"members\":" members                  \
    ",\"replicas\":" replicas ",\"by\":\"x\",\"frozen\":null}"

static void what_is_no_ring_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum ds_code code;
    } rows[] = {
        {"", DS_E_FORMAT},
        {"garbage", DS_E_FORMAT},
        {"null", DS_E_FORMAT},
        {"[]", DS_E_FORMAT},
        {"{}", DS_E_FORMAT},
        {"{\"format\":1}", DS_E_FORMAT},
        {"{\"format\":2}", DS_E_NEWER},
        {RING("2", "\"x\"", "[]", "1"), DS_E_NEWER},
        {RING("0", "\"x\"", "[]", "1"), DS_E_FORMAT},
        {RING("\"1\"", "\"x\"", "[]", "1"), DS_E_FORMAT},
        {RING("1", "null", "[" MEMBER "]", "500"), DS_E_FORMAT},
        {RING("1", "\"0000000000000000\"", "[" MEMBER "]", "500"), DS_E_FORMAT},
        {RING("1", "\"\"", "[" MEMBER "]", "500"), DS_E_FORMAT},
        {RING("1", "\"x\"", "{}", "500"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[" MEMBER "]", "0"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[" MEMBER "]", "10001"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[" MEMBER "]", "5.5"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[null]", "500"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[{\"address\":\"a b:1\",\"weight\":1}]", "500"),
         DS_E_FORMAT},
        {RING("1", "\"x\"", "[{\"address\":\"a:1\"}]", "500"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[{\"address\":\"a:1\",\"weight\":0}]", "500"), DS_E_FORMAT},
        {RING("1", "\"x\"", "[{\"address\":\"a:1\",\"weight\":101}]", "500"),
         DS_E_FORMAT},
        {"{\"format\":1,\"format\":1}", DS_E_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_accord_ring ring = {0};
        struct ds_error err = DS_ERROR_INIT;

        print_message("%s\n", rows[i].text);
        assert_int_equal(
            ds_accord_ring_parse(&ring, rows[i].text, strlen(rows[i].text), &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_null(ring.members);
        assert_null(ring.by);
    }
}

/* A server that is there twice would be two members of one name. */
static void a_member_twice_is_refused(void **state)
{
    const struct ds_server twice[] = {MEMBERS[0], MEMBERS[0]};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(accord_ring) struct ds_accord_ring ring = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    format(twice, 2, NULL, &text);
    assert_int_equal(ds_accord_ring_parse(&ring, text.data, text.len, &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
}

static void any_cut_is_refused(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    format(MEMBERS, 3, "why", &text);
    for (size_t len = 0; len < text.len; len++) {
        struct ds_accord_ring ring = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(ds_accord_ring_parse(&ring, text.data, len, &err), -1);
        assert_int_equal(err.code, DS_E_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_words_in_the_key_are_these),
        cmocka_unit_test(members_in_any_order_are_one_ring),
        cmocka_unit_test(a_thousand_heavy_members_fit),
        cmocka_unit_test(what_is_no_ring_is_refused),
        cmocka_unit_test(a_member_twice_is_refused),
        cmocka_unit_test(any_cut_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
