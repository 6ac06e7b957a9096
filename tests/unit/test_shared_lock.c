/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/shared_lock.h"
#include "dshard/clock.h"
#include "frozen.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    struct ds_shared_lock lock;
    volatile unsigned n;
};

static int setup(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_ok(ds_shared_lock_init(&shared->lock, &err), &err);
    *state = shared;
    return 0;
}

static int teardown(void **state)
{
    return munmap(*state, sizeof(struct shared));
}

static void one_process_has_it_at_a_time(void **state)
{
    enum { PROCESSES = 4, ROUNDS = 20000 };
    struct shared *shared = *state;
    int status;

    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        for (int k = 0; pid == 0 && k < ROUNDS; k++) {
            if (!ds_shared_lock_take(&shared->lock))
                _exit(1);
            shared->n = shared->n + 1;
            ds_shared_lock_give(&shared->lock);
        }
        if (pid == 0)
            _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(shared->n, PROCESSES * ROUNDS);
}

static void nobody_waits_for_who_was_killed_with_it(void **state)
{
    struct shared *shared = *state;
    int status;

    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            ds_ignore(ds_shared_lock_take(&shared->lock));
            raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        alarm(10); /* a test that hangs would tell nothing */
        assert_true(ds_shared_lock_take(&shared->lock));
        ds_shared_lock_give(&shared->lock);
        alarm(0);
    }
}

static void take_and_read(void *arg, const void *unreadable)
{
    struct shared *shared = arg;

    ds_ignore(ds_shared_lock_take(&shared->lock));
    shared->n = *(const volatile unsigned *)unreadable;
}

static void nobody_waits_long_for_who_is_frozen_with_it(void **state)
{
    struct shared *shared = *state;
    pid_t pid = frozen_start(take_and_read, shared);
    int64_t since_ms = ds_clock_mono_ms();

    assert_false(ds_shared_lock_take(&shared->lock));
    assert_in_range(ds_clock_mono_ms() - since_ms, DS_SHARED_LOCK_WAIT_MS - 1,
                    DS_SHARED_LOCK_WAIT_MS + 1000);
    frozen_kill(pid);
    assert_true(ds_shared_lock_take(&shared->lock));
    ds_shared_lock_give(&shared->lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_process_has_it_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_for_who_was_killed_with_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_long_for_who_is_frozen_with_it,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
