/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/clock.h"
#include "dshard/file.h"
#include "holder.h"
#include "place.h"
#include "random.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 150, FILE_MAX = 100000 };

static void put(const char *path, const char *text)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_replace(path, text, strlen(text), 0644, &err), &err);
}

static void assert_content(const char *path, const char *want)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(FILE_MAX);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, path, &err), &err);
    assert_string_equal(text.data, want);
}

static void replace_creates_and_replaces(void **state)
{
    const struct place *place = *state;
    struct stat st;

    put(place->path, "one\n");
    assert_content(place->path, "one\n");
    put(place->path, "");
    assert_content(place->path, "");
    put(place->path, "three");
    assert_content(place->path, "three");
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(count_entries(place->dir), 1);
}

static void the_mode_does_not_depend_on_the_umask(void **state)
{
    const struct place *place = *state;
    mode_t saved = umask(077);
    struct stat st;

    put(place->path, "x");
    umask(saved);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
}

static void root_does_not_change_the_owner(void **state)
{
    const struct place *place = *state;
    struct stat st;

    if (geteuid() != 0)
        skip();
    put(place->path, "x");
    assert_int_equal(chown(place->path, 1234, 1235), 0);
    put(place->path, "y");
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 1235);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(chown(place->dir, 1236, 1237), 0);
    put(place->path, "z");
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_uid, 1236);
    assert_int_equal(st.st_gid, 1237);
}

static void a_left_over_temporary_file_is_reused(void **state)
{
    const struct place *place = *state;
    DS_AUTO(fd) int fd = open(place->temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "much longer than the new text", 29), 29);
    put(place->path, "new");
    assert_content(place->path, "new");
    assert_int_equal(count_entries(place->dir), 1);
}

static void a_symbolic_link_in_place_of_the_temporary_is_not_followed(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;

    put(place->path, "old");
    assert_int_equal(symlink("/dev/full", place->temporary), 0);
    assert_int_equal(ds_file_replace(place->path, "new", 3, 0644, &err), -1);
    assert_int_equal(err.code, DS_E_SYSTEM);
    assert_content(place->path, "old");
}

/* A file size limit is the disk that fills up which every machine has. */
static void a_write_that_fails_leaves_the_old_file_and_nothing_else(void **state)
{
    const struct place *place = *state;
    static const char text[5000] = {'x'};
    int status = 0;
    pid_t child;

    put(place->path, "old");
    child = fork();
    if (child == 0) {
        const struct rlimit limit = {1000, 1000};
        struct ds_error err = DS_ERROR_INIT;
        int rc;

        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
            _exit(2);
        rc = ds_file_replace(place->path, text, sizeof text, 0644, &err);
        _exit(rc < 0 && err.code == DS_E_SYSTEM && strstr(err.text, "cannot write") ? 0
                                                                                    : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_content(place->path, "old");
    assert_int_equal(count_entries(place->dir), 1);
}

static void errors_name_the_file(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    char below[128];

    assert_int_equal(ds_file_read(&text, place->path, &err), -1);
    assert_int_equal(err.code, DS_E_MISSING);
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(ds_file_read(&text, place->dir, &err), -1);
    assert_int_equal(err.code, DS_E_SYSTEM);
    assert_non_null(strstr(err.text, "Is a directory"));
    snprintf(below, sizeof below, "%s/no/ring.json", place->dir);
    assert_int_equal(ds_file_replace(below, "x", 1, 0644, &err), -1);
    assert_int_equal(err.code, DS_E_MISSING);
    assert_non_null(strstr(err.text, "/no/.ring.json.tmp"));
}

static void a_file_over_the_maximum_is_refused(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(10), endless = DS_BUF_INIT(100000);
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;

    put(place->path, "0123456789");
    assert_ok(ds_file_read(&text, place->path, &err), &err);
    ds_buf_clear(&text);
    put(place->path, "0123456789x");
    assert_int_equal(ds_file_read(&text, place->path, &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    assert_non_null(strstr(err.text, "is larger than 10 bytes"));
    assert_int_equal(ds_file_read(&endless, "/dev/full", &err), -1); /* reads as zeros */
    assert_int_equal(err.code, DS_E_FORMAT);
}

static void a_name_that_is_a_directory_is_not_replaced(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;

    assert_int_equal(mkdir(place->path, 0755), 0);
    assert_int_equal(ds_file_replace(place->path, "x", 1, 0644, &err), -1);
    assert_non_null(strstr(err.text, "cannot rename"));
    assert_int_equal(count_entries(place->dir), 1);
    assert_int_equal(rmdir(place->path), 0);
}

static void the_second_one_to_lock_waits_or_is_told(void **state)
{
    DS_AUTO(file_lock) struct ds_file_lock first = DS_FILE_LOCK_INIT;
    DS_AUTO(file_lock) struct ds_file_lock second = DS_FILE_LOCK_INIT;
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    int64_t start;

    assert_ok(ds_file_lock_dir(&first, place->path, 0, &err), &err);
    assert_int_equal(ds_file_lock_dir(&second, place->path, 0, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_non_null(strstr(err.text, "is locked by another dshard"));
    start = ds_clock_mono_ms();
    assert_int_equal(ds_file_lock_dir(&second, place->path, 60, &err), -1);
    assert_true(ds_clock_mono_ms() - start >= 60);
    assert_int_equal(second.fd, -1);
    ds_file_unlock(&first);
    ds_file_unlock(&first);
    assert_ok(ds_file_lock_dir(&second, place->path, 0, &err), &err);
    assert_int_equal(count_entries(place->dir), 0);
}

static void hold_lock(void *arg, int ready)
{
    const struct place *place = arg;
    struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct ds_error err = DS_ERROR_INIT;

    if (ds_file_lock_dir(&lock, place->path, 0, &err) < 0)
        _exit(1);
    holder_ready(ready);
    for (;;)
        pause();
}

static void a_killed_holder_leaves_no_lock(void **state)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    pid_t child = holder_start(hold_lock, place);

    assert_int_equal(ds_file_lock_dir(&lock, place->path, 0, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    holder_kill(child);
    assert_ok(ds_file_lock_dir(&lock, place->path, 0, &err), &err);
}

static void a_missing_directory_cannot_be_locked(void **state)
{
    struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_int_equal(ds_file_lock_dir(&lock, "/nonexistent/ring.json", 0, &err), -1);
    assert_int_equal(err.code, DS_E_MISSING);
    assert_int_equal(lock.fd, -1);
}

enum { HEAD_LEN = 8 };

/* A file that tells its own length in its first eight bytes; the rest is one letter. */
static void fill(char *text, size_t len, char letter)
{
    char head[32];

    snprintf(head, sizeof head, "%08zu", len);
    memset(text, letter, len);
    memcpy(text, head, HEAD_LEN);
}

static void write_for_ever(const struct place *place)
{
    static char text[FILE_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0;; i++) {
        struct ds_file_lock lock = DS_FILE_LOCK_INIT;
        struct ds_error err = DS_ERROR_INIT;
        size_t len = HEAD_LEN + 1 + i * 7919 % (FILE_MAX - HEAD_LEN);

        fill(text, len, (char)('a' + i % 26));
        if (ds_file_lock_dir(&lock, place->path, 1000, &err) < 0 ||
            ds_file_replace(place->path, text, len, 0644, &err) < 0)
            _exit(1);
        ds_file_unlock(&lock);
    }
}

static void assert_whole(const char *path)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(FILE_MAX);
    struct ds_error err = DS_ERROR_INIT;
    char want[32];

    assert_ok(ds_file_read(&text, path, &err), &err);
    assert_true(text.len > HEAD_LEN);
    snprintf(want, sizeof want, "%08zu", text.len);
    assert_memory_equal(text.data, want, HEAD_LEN);
    for (size_t i = HEAD_LEN; i < text.len; i++) {
        if (text.data[i] != text.data[HEAD_LEN])
            fail_msg("byte %zu of %zu is of another file", i, text.len);
    }
}

static void a_writer_killed_at_any_moment_leaves_a_whole_file(void **state)
{
    struct random r = random_start(__func__);
    const struct place *place = *state;

    put(place->path, "00000009a");
    for (int round = 0; round < KILLS; round++) {
        int64_t until_ms;
        pid_t child = fork();

        if (child == 0)
            write_for_ever(place);
        until_ms = ds_clock_mono_ms() + (int64_t)random_below(&r, 12);
        do
            assert_whole(place->path);
        while (ds_clock_mono_ms() < until_ms);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_whole(place->path);
        assert_in_range(count_entries(place->dir), 1, 2);
    }
    put(place->path, "00000009a");
    assert_int_equal(count_entries(place->dir), 1);
}

static void a_replaced_file_has_another_identity(void **state)
{
    const struct place *place = *state;
    struct ds_file_id before, open_one, after;
    DS_AUTO(fd) int fd = -1;

    assert_int_equal(ds_file_id_of_path(place->path, &before), -1);
    assert_int_equal(ds_file_id_of_fd(-1, &before), -1);
    put(place->path, "one");
    fd = open(place->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(ds_file_id_of_path(place->path, &before), 0);
    assert_int_equal(ds_file_id_of_fd(fd, &open_one), 0);
    assert_true(ds_file_id_equal(&before, &open_one));
    put(place->path, "two");
    assert_int_equal(ds_file_id_of_path(place->path, &after), 0);
    assert_false(ds_file_id_equal(&before, &after));
    assert_int_equal(ds_file_id_of_fd(fd, &open_one), 0);
    assert_true(before.ino == open_one.ino); /* held open, so it is not used again */
}

static void the_directory_of_a_path(void **state)
{
    static const struct {
        const char *path, *dir;
    } rows[] = {
        {"ring.json", "."}, {"/ring.json", "/"}, {"/var/lib/ring.json", "/var/lib"},
        {"a/b", "a"},       {"./x", "."},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str) char *dir = ds_file_dir(rows[i].path);

        assert_string_equal(dir, rows[i].dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(replace_creates_and_replaces),
        IN_A_PLACE(the_mode_does_not_depend_on_the_umask),
        IN_A_PLACE(root_does_not_change_the_owner),
        IN_A_PLACE(a_left_over_temporary_file_is_reused),
        IN_A_PLACE(a_symbolic_link_in_place_of_the_temporary_is_not_followed),
        IN_A_PLACE(a_write_that_fails_leaves_the_old_file_and_nothing_else),
        IN_A_PLACE(errors_name_the_file),
        IN_A_PLACE(a_file_over_the_maximum_is_refused),
        IN_A_PLACE(a_name_that_is_a_directory_is_not_replaced),
        IN_A_PLACE(the_second_one_to_lock_waits_or_is_told),
        IN_A_PLACE(a_killed_holder_leaves_no_lock),
        cmocka_unit_test(a_missing_directory_cannot_be_locked),
        IN_A_PLACE(a_writer_killed_at_any_moment_leaves_a_whole_file),
        IN_A_PLACE(a_replaced_file_has_another_identity),
        cmocka_unit_test(the_directory_of_a_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
