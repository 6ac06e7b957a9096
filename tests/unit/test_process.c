/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void it_names_this_process(void **state)
{
    DS_AUTO(str) char *name = ds_process_name();
    DS_AUTO(str) char *host = ds_process_host();
    DS_AUTO(str) char *pid = ds_xasprintf(":%ld", (long)getpid());
    const char *colon = strrchr(name, ':');

    (void)state;
    assert_non_null(colon);
    assert_true(colon > name);
    assert_string_equal(colon, pid);
    assert_int_equal(strlen(host), colon - name);
    assert_memory_equal(host, name, strlen(host));
    assert_false(ds_process_is_dead(name));
}

static void who_has_ended_is_dead(void **state)
{
    DS_AUTO(str) char *name = ds_process_name();
    DS_AUTO(str) char *theirs = NULL;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    *strrchr(name, ':') = '\0';
    theirs = ds_xasprintf("%s:%ld", name, (long)child);
    assert_true(ds_process_is_dead(theirs));
}

/* Rather alive than dead by mistake. */
static void who_is_not_known_is_not_dead(void **state)
{
    DS_AUTO(str) char *name = ds_process_name();
    static const char *const odd[] = {
        "", ":", "x", ":1", "host.of.nobody:999999", "999999", "host:",
    };
    static const char *const pids[] = {"0", "-1", "1x",         " 1",
                                       "",  "+1", "2147483648", "01x"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(odd); i++)
        assert_false(ds_process_is_dead(odd[i]));
    *strrchr(name, ':') = '\0';
    for (size_t i = 0; i < DS_COUNT(pids); i++) {
        DS_AUTO(str) char *theirs = ds_xasprintf("%s:%s", name, pids[i]);

        assert_false(ds_process_is_dead(theirs));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_names_this_process),
        cmocka_unit_test(who_has_ended_is_dead),
        cmocka_unit_test(who_is_not_known_is_not_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
