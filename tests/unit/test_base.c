/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void zero_sizes_give_memory(void **state)
{
    void *a = ds_xmalloc(0), *b = ds_xcalloc(0, 8), *c = ds_xreallocarray(NULL, 0, 8);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    free(a);
    free(b);
    free(c);
}

static void calloc_gives_zeros(void **state)
{
    unsigned char *p = ds_xcalloc(100, 3);

    (void)state;
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    free(p);
}

static void an_impossible_size_ends_the_process(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null >= 0)
            dup2(null, STDERR_FILENO);
        free(ds_xreallocarray(NULL, SIZE_MAX / 2, 4));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void strings_are_copied(void **state)
{
    char original[] = "pushgateway";
    DS_AUTO(str) char *whole = ds_xstrdup(original);
    DS_AUTO(str) char *part = ds_xstrndup(original, 4);
    DS_AUTO(str) char *printed = ds_xasprintf("%s:%d", original, 9091);

    (void)state;
    original[0] = 'X';
    assert_string_equal(whole, "pushgateway");
    assert_string_equal(part, "push");
    assert_string_equal(printed, "pushgateway:9091");
}

static void bytes_are_copied_with_the_nul_bytes_among_them(void **state)
{
    DS_AUTO(str) char *copy = ds_xmemdup("a\0b!", 3);
    DS_AUTO(str) char *none = ds_xmemdup("a", 0);

    (void)state;
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(none, "");
}

static void set_str_replaces_and_clears(void **state)
{
    char *field = NULL;

    (void)state;
    ds_set_str(&field, "one");
    assert_string_equal(field, "one");
    ds_set_str(&field, field); /* a copy of itself is no use after free */
    assert_string_equal(field, "one");
    ds_set_str(&field, "two");
    assert_string_equal(field, "two");
    ds_set_str(&field, NULL);
    assert_null(field);
}

static void wipe_frees_what_there_is(void **state)
{
    (void)state;
    ds_wipe(NULL);
    ds_wipe(ds_xstrdup(""));
    ds_wipe(ds_xstrdup("secret"));
}

static void steal_takes_the_pointer_away(void **state)
{
    DS_AUTO(str) char *owner = ds_xstrdup("x");
    DS_AUTO(str) char *thief = ds_steal(&owner);

    (void)state;
    assert_null(owner);
    assert_string_equal(thief, "x");
}

static void steal_fd_takes_the_descriptor_away(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int number = fd, stolen;

    (void)state;
    stolen = ds_steal_fd(&fd);
    assert_int_equal(stolen, number);
    assert_int_equal(fd, -1);
    close(stolen);
}

static void auto_fd_closes_and_keeps_errno(void **state)
{
    int number;

    (void)state;
    {
        DS_AUTO(fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        DS_AUTO(fd) int none = -1;

        number = fd;
        assert_int_equal(none, -1);
        errno = EXDEV;
    }
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fcntl(number, F_GETFD), -1);
}

static void count_counts_the_elements(void **state)
{
    static const short numbers[7];

    (void)state;
    assert_int_equal(DS_COUNT(numbers), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_sizes_give_memory),
        cmocka_unit_test(calloc_gives_zeros),
        cmocka_unit_test(an_impossible_size_ends_the_process),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(bytes_are_copied_with_the_nul_bytes_among_them),
        cmocka_unit_test(set_str_replaces_and_clears),
        cmocka_unit_test(wipe_frees_what_there_is),
        cmocka_unit_test(steal_takes_the_pointer_away),
        cmocka_unit_test(steal_fd_takes_the_descriptor_away),
        cmocka_unit_test(auto_fd_closes_and_keeps_errno),
        cmocka_unit_test(count_counts_the_elements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
