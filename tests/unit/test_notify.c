/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/clock.h"
#include "dshard/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct supervisor {
    int fd;
    char dir[64], path[96];
};

/* Listens where $NOTIFY_SOCKET says; '@' in front: in the abstract namespace. */
static void listen_at(struct supervisor *s, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);

    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static int setup(void **state)
{
    struct supervisor *s = ds_xcalloc(1, sizeof *s);

    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    s->fd = -1;
    snprintf(s->dir, sizeof s->dir, "/tmp/dshard-test-notify.XXXXXX");
    if (!mkdtemp(s->dir))
        return -1;
    snprintf(s->path, sizeof s->path, "%s/notify", s->dir);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct supervisor *s = *state;

    if (s->fd >= 0)
        close(s->fd);
    unlink(s->path);
    if (rmdir(s->dir) < 0)
        return -1;
    free(s);
    return unsetenv("NOTIFY_SOCKET");
}

static void assert_heard(const struct supervisor *s, const char *want)
{
    char text[200];
    ssize_t n = recv(s->fd, text, sizeof text - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    assert_string_equal(text, want);
}

static void words_arrive_as_one_datagram_each(void **state)
{
    struct supervisor *s = *state;

    listen_at(s, s->path);
    ds_notify("READY=1\nSTATUS=4 members");
    ds_notify("WATCHDOG=1");
    assert_heard(s, "READY=1\nSTATUS=4 members");
    assert_heard(s, "WATCHDOG=1");
    assert_int_equal(recv(s->fd, s->path, 1, 0), -1);
}

static void the_abstract_namespace_is_heard_too(void **state)
{
    struct supervisor *s = *state;
    char name[64];

    snprintf(name, sizeof name, "@dshard-test-notify-%ld", (long)getpid());
    listen_at(s, name);
    ds_notify("STOPPING=1");
    assert_heard(s, "STOPPING=1");
}

/* None of these may block, print or end the program. */
static void without_a_listener_nothing_happens(void **state)
{
    static const char *const names[] = {"", "relative/path", "/nonexistent/notify",
                                        "vsock:2:1234"};
    const struct supervisor *s = *state;
    char name[300];

    ds_notify("READY=1");
    for (size_t i = 0; i < DS_COUNT(names); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        ds_notify("READY=1");
    }
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[sizeof name - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    ds_notify("READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", s->path, 1), 0);
    ds_notify("READY=1");
}

static void a_supervisor_that_hangs_does_not_stop_us(void **state)
{
    struct supervisor *s = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    DS_AUTO(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int64_t start;

    listen_at(s, s->path);
    memcpy(address.sun_path, s->path, strlen(s->path));
    while (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) == 1)
        ; /* until nobody gets in any more */
    assert_int_equal(errno, EAGAIN);
    start = ds_clock_mono_ms();
    ds_notify("WATCHDOG=1");
    assert_true(ds_clock_mono_ms() - start < 5000);
}

static void the_watchdog_is_fed_twice_per_interval(void **state)
{
    static const struct {
        const char *usec;
        int64_t ms;
    } rows[] = {
        {"30000000", 15000},
        {"2000", 1},
        {"2001", 1},
        {"1999", 0},
        {"0", 0},
        {"", 0},
        {"-1", 0},
        {"1s", 0},
        {" 30000000", 0},
        {"30000000x", 0},
        {"99999999999999999999", 0},
    };
    char mine[32];

    (void)state;
    assert_int_equal(ds_notify_watchdog_ms(), 0);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
        assert_int_equal(ds_notify_watchdog_ms(), rows[i].ms);
    }
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    snprintf(mine, sizeof mine, "%ld", (long)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", mine, 1), 0);
    assert_int_equal(ds_notify_watchdog_ms(), 15000);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0); /* meant for another */
    assert_int_equal(ds_notify_watchdog_ms(), 0);
    assert_int_equal(setenv("WATCHDOG_PID", "me", 1), 0);
    assert_int_equal(ds_notify_watchdog_ms(), 0);
}

#define SUPERVISED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUPERVISED(words_arrive_as_one_datagram_each),
        SUPERVISED(the_abstract_namespace_is_heard_too),
        SUPERVISED(without_a_listener_nothing_happens),
        SUPERVISED(a_supervisor_that_hangs_does_not_stop_us),
        SUPERVISED(the_watchdog_is_fed_twice_per_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
