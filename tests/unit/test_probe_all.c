/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/clock.h"
#include "dshard/discovery.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000, GIVE_UP_MS = 2000 };

/* Without a single descriptor it says whose want that is, and comes back. */
static void a_check_that_cannot_be_made_ends_and_says_why(void **state)
{
    static const struct ds_server servers[] = {{"127.0.0.1:9091", 1},
                                               {"pg.example:9091", 1}};
    struct ds_sighting items[DS_COUNT(servers)];
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(config) struct ds_config config;
    int64_t start_ms = ds_clock_mono_ms();
    struct rlimit before, limit;
    int next;

    (void)state;
    config_from(&config, "health_check: {interval: 100ms, timeout: 50ms}\n"
                         "pushgateway:\n  servers: [\"127.0.0.1:9091\"]\n");
    next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_ok(ds_probe_all(&config, servers, DS_COUNT(servers), items, &err), &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(ds_clock_mono_ms() - start_ms, GIVE_UP_MS, DEADLINE_MS);
    for (size_t i = 0; i < DS_COUNT(items); i++) {
        assert_string_equal(items[i].address, servers[i].address);
        assert_int_equal(items[i].sight, DS_SIGHT_FAIL);
        assert_int_equal(items[i].seq, 0);
        assert_non_null(strstr(items[i].why, "this machine has no file descriptor"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_cannot_be_made_ends_and_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
