/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reading of /v1/health/service.  What is accepted is sorted and unique, and
 * each of its addresses and weights is one that a ring can have; what is refused leaves
 * nothing behind.  `make fuzz` runs it under libFuzzer,
 * tests/unit/test_consul_health_fuzz.c replays the corpus without it.
 */
#include "dshard/consul_health.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_instance(const struct ds_consul_instance *instance)
{
    struct ds_error err = DS_ERROR_INIT;
    char again[DS_ADDRESS_MAX];

    must(ds_address_parse(again, instance->server.address, 0, &err) == 0);
    must(strcmp(again, instance->server.address) == 0);
    must(instance->server.weight >= 1 && instance->server.weight <= DS_WEIGHT_MAX);
    must(instance->kind <= DS_CONSUL_PASSING);
    must(memchr(instance->why, '\0', sizeof instance->why) != NULL);
    must(!strpbrk(instance->server.address, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(consul_view) struct ds_consul_view view = {0};
    struct ds_error err = DS_ERROR_INIT;

    if (ds_consul_view_parse(&view, (const char *)data, size, &err) < 0) {
        must(err.code == DS_E_FORMAT && err.text[0] && !view.items && !view.n);
        return 0;
    }
    must(err.code == DS_OK && view.n <= DS_SERVERS_MAX);
    for (size_t i = 0; i < view.n; i++) {
        check_instance(&view.items[i]);
        must(!i ||
             ds_server_compare(&view.items[i - 1].server, &view.items[i].server) < 0);
    }
    must(!view.n_refused == !view.refused[0]);
    return 0;
}
