/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/consul_catalog.h"

#define ENTRY(node, address, id, host, port, checks)                                     \
    "{\"Node\":{\"Node\":\"" node "\",\"Address\":\"" address                            \
    "\"},\"Service\":{\"ID\":\"" id "\",\"Service\":\"pushgateway\",\"Address\":\"" host \
    "\",\"Port\":" port ",\"Meta\":{\"dshard-weight\":\"2\"}},\"Checks\":[" checks "]}"
#define CHECK(id, status)                                                                \
    "{\"CheckID\":\"" id "\",\"Status\":\"" status "\",\"Name\":\"n\",\"Output\":\"o\"}"
#define ALIVE CHECK("serfHealth", "passing")

#define DEAD    CHECK("serfHealth", "critical")
#define DRAINED CHECK("_service_maintenance:b", "critical")
#define N1      ENTRY("n1", "10.1.0.1", "a_1", "10.0.0.1", "9091", ALIVE)
#define N2      ENTRY("n2", "10.1.0.2", "a_1", "10.0.0.1", "9091", DEAD)
#define N3      ENTRY("n3", "10.1.0.3", "b", "::1", "9091", ALIVE "," DRAINED)
#define N4      ENTRY("n4", "10.1.0.4", "c", "", "9091", "")

static void places_are_read(void **state)
{
    static const char text[] = "[" N1 "," N2 "," N3 "," N4 "]";
    DS_AUTO(consul_catalog) struct ds_consul_catalog catalog = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_consul_catalog_take_health(&catalog, text, strlen(text), &err), &err);
    assert_int_equal(catalog.n_places, 4);
    assert_int_equal(catalog.view.n, 3);
    assert_string_equal(catalog.places[0].address, "10.0.0.1:9091");
    assert_string_equal(catalog.places[0].node, "n1");
    assert_string_equal(catalog.places[0].node_address, "10.1.0.1");
    assert_string_equal(catalog.places[0].id, "a_1");
    assert_true(catalog.places[0].agent_alive);
    assert_false(catalog.places[0].drained);
    assert_false(catalog.places[1].agent_alive);
    assert_string_equal(catalog.places[2].address, "[::1]:9091");
    assert_true(catalog.places[2].drained);
    assert_false(catalog.places[2].node_drained);
    /* Without an address of its own it is where its node is; and no agent at all. */
    assert_string_equal(catalog.places[3].address, "10.1.0.4:9091");
    assert_false(catalog.places[3].agent_alive);
}

static void a_node_may_be_drained_as_a_whole(void **state)
{
    static const char text[] =
        "[" ENTRY("n", "10.1.0.1", "a", "10.0.0.1", "1",
                  ALIVE "," CHECK("_node_maintenance", "critical")) "]";
    DS_AUTO(consul_catalog) struct ds_consul_catalog catalog = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_consul_catalog_take_health(&catalog, text, strlen(text), &err), &err);
    assert_int_equal(catalog.n_places, 1);
    assert_true(catalog.places[0].node_drained);
    assert_false(catalog.places[0].drained);
    assert_true(catalog.view.items[0].drained);
}

static void what_can_be_no_server_has_no_place(void **state)
{
    static const char *const texts[] = {
        "[" ENTRY("n", "10.1.0.1", "a", "10.0.0.1", "0", "") "]",
        "[" ENTRY("n", "10.1.0.1", "a", "10.0.0.1", "70000", "") "]",
        "[" ENTRY("n", "10.1.0.1", "a", "10.0.0.1", "-5", "") "]",
        "[" ENTRY("n", "", "a", "", "9091", "") "]",
        "[" ENTRY("n", "10.1.0.1", "a", "a b", "9091", "") "]",
        "[{}]",
        "[1,null,\"x\",[]]",
        "[]",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        DS_AUTO(consul_catalog) struct ds_consul_catalog catalog = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_ok(
            ds_consul_catalog_take_health(&catalog, texts[i], strlen(texts[i]), &err),
            &err);
        assert_int_equal(catalog.n_places, 0);
    }
}

static void what_is_no_list_is_an_error(void **state)
{
    static const char *const texts[] = {"", "{}", "null", "[", "<html>"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        DS_AUTO(consul_catalog) struct ds_consul_catalog catalog = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(
            ds_consul_catalog_take_health(&catalog, texts[i], strlen(texts[i]), &err),
            -1);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_int_equal(
            ds_consul_catalog_take_marks(&catalog, texts[i], strlen(texts[i]), "", &err),
            -1);
    }
}

static void marks_are_addresses_behind_the_prefix(void **state)
{
    static const char text[] =
        "[\"dshard/pg/out/10.0.0.1:9091\",\"dshard/pg/out/[::1]:9091\","
        "\"dshard/pg/out/\",\"dshard/pg/out/nonsense\",\"dshard/pg/out/a/b:1\","
        "\"dshard/pg/ring\",5,null,\"dshard/pg/out/Host:80\"]";
    DS_AUTO(consul_catalog) struct ds_consul_catalog catalog = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_consul_catalog_take_marks(&catalog, text, strlen(text), "dshard/pg/out/",
                                           &err),
              &err);
    assert_int_equal(catalog.n_marks, 3);
    assert_true(ds_consul_catalog_is_marked(&catalog, "10.0.0.1:9091"));
    assert_true(ds_consul_catalog_is_marked(&catalog, "[::1]:9091"));
    assert_true(ds_consul_catalog_is_marked(&catalog, "host:80"));
    assert_false(ds_consul_catalog_is_marked(&catalog, "10.0.0.1:909"));
    assert_false(ds_consul_catalog_is_marked(&catalog, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_read),
        cmocka_unit_test(a_node_may_be_drained_as_a_whole),
        cmocka_unit_test(what_can_be_no_server_has_no_place),
        cmocka_unit_test(what_is_no_list_is_an_error),
        cmocka_unit_test(marks_are_addresses_behind_the_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
