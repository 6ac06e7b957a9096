/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "place.h"

#include "dshard/clock.h"
#include "dshard/confedit.h"
#include "dshard/file.h"

#include <sys/stat.h>
#include <sys/wait.h>

enum { NOBODY = 65534 };

static const char before[] = "pushgateway:\n  servers: [a:1, b:1]\n";
static const char after[] = "pushgateway:\n  servers: [b:1, c:1]\n";
static const struct ds_server a = {"a:1", 1}, c = {"c:1", 1};
static const struct ds_confedit edit = {&c, &a, 1, 1};

static void put(const char *path, const char *text, mode_t mode)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_replace(path, text, strlen(text), mode, &err), &err);
}

static void assert_content(const char *path, const char *want)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, path, &err), &err);
    assert_string_equal(text.data, want);
}

static void apply(const char *path, bool want_changed)
{
    struct ds_error err = DS_ERROR_INIT;
    bool changed = !want_changed;

    assert_ok(ds_confedit_check(path, &edit, &changed, &err), &err);
    assert_int_equal(changed, want_changed);
    assert_ok(ds_confedit_file(path, &edit, &changed, &err), &err);
    assert_int_equal(changed, want_changed);
}

/* Both refuse, in the same words, and the file stays as it was. */
static void assert_refused(const char *path, const char *words)
{
    struct ds_error err = DS_ERROR_INIT;
    bool changed;

    assert_int_equal(ds_confedit_check(path, &edit, &changed, &err), -1);
    if (!strstr(err.text, words))
        fail_msg("'%s' is not in '%s'", words, err.text);
    err = (struct ds_error)DS_ERROR_INIT;
    assert_int_equal(ds_confedit_file(path, &edit, &changed, &err), -1);
    if (!strstr(err.text, words))
        fail_msg("'%s' is not in '%s'", words, err.text);
}

static void the_file_is_replaced_once(void **state)
{
    const struct place *place = *state;
    struct ds_file_id id, again;
    struct stat st;

    put(place->path, before, 0640);
    apply(place->path, true);
    assert_content(place->path, after);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(count_entries(place->dir), 1);
    assert_int_equal(ds_file_id_of_path(place->path, &id), 0);
    apply(place->path, false);
    assert_int_equal(ds_file_id_of_path(place->path, &again), 0);
    assert_true(ds_file_id_equal(&id, &again));
}

static void a_check_writes_nothing(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    bool changed;

    put(place->path, before, 0644);
    assert_ok(ds_confedit_check(place->path, &edit, &changed, &err), &err);
    assert_true(changed);
    assert_content(place->path, before);
}

/* Root can see it; for others the owner is theirs anyway. */
static void owner_and_group_stay(void **state)
{
    const struct place *place = *state;
    uid_t user = geteuid() == 0 ? NOBODY : geteuid();
    gid_t group = geteuid() == 0 ? 7 : getegid();
    struct stat st;

    put(place->path, before, 0600);
    assert_int_equal(chown(place->path, user, group), 0);
    apply(place->path, true);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_uid, user);
    assert_int_equal(st.st_gid, group);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_symbolic_link_stays_one(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *sub = ds_xasprintf("%s/real", place->dir);
    DS_AUTO(str) char *target = ds_xasprintf("%s/dshard.yml", sub);
    DS_AUTO(str) char *link = ds_xasprintf("%s/link", place->dir);
    struct stat st;

    assert_int_equal(mkdir(sub, 0755), 0);
    put(target, before, 0644);
    assert_int_equal(symlink("real/dshard.yml", link), 0);
    assert_int_equal(symlink("link", place->path), 0);
    apply(place->path, true);
    assert_content(target, after);
    assert_int_equal(lstat(place->path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_entries(sub), 1);
    assert_int_equal(unlink(target), 0);
    assert_refused(place->path, place->path); /* it leads nowhere now */
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(sub), 0);
}

/* Another writer, whom we wait for and who has changed it by then. */
static void what_changed_meanwhile_is_edited(void **state)
{
    const struct place *place = *state;
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct ds_error err = DS_ERROR_INIT;
    bool changed = false;
    pid_t child;
    int status;

    put(place->path, before, 0644);
    assert_ok(ds_file_lock_dir(&lock, place->path, 0, &err), &err);
    child = fork();
    if (child == 0) {
        ds_file_unlock(&lock); /* its copy; ours holds it */
        if (ds_confedit_file(place->path, &edit, &changed, &err) < 0 || !changed)
            _exit(1);
        _exit(0);
    }
    ds_clock_sleep_ms(100); /* time for it to read and to find the lock taken */
    put(place->path, "# new\npushgateway:\n  servers: [a:1, b:1]\n", 0644);
    ds_file_unlock(&lock);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_content(place->path, "# new\npushgateway:\n  servers: [b:1, c:1]\n");
}

/* What root may do, others may not: the rest of a test runs as nobody. */
static void as_nobody(void (*body)(const struct place *), const struct place *place)
{
    pid_t child;
    int status;

    if (geteuid() != 0) {
        body(place);
        return;
    }
    child = fork();
    if (child == 0) {
        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            _exit(2);
        body(place);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void refuse_readonly_file(const struct place *place)
{
    assert_refused(place->path, "cannot write '");
}

static void refuse_readonly_directory(const struct place *place)
{
    assert_refused(place->path, "cannot write in the directory '");
}

static void refuse_another_owner(const struct place *place)
{
    assert_refused(place->path, "belongs to user 0, group 0");
}

static void what_may_not_be_written_is_refused_before(void **state)
{
    const struct place *place = *state;

    put(place->path, before, 0444);
    if (geteuid() == 0)
        assert_int_equal(
            chown(place->path, NOBODY, NOBODY) + chown(place->dir, NOBODY, 0), 0);
    as_nobody(refuse_readonly_file, place);
    assert_int_equal(chmod(place->path, 0644) + chmod(place->dir, 0555), 0);
    as_nobody(refuse_readonly_directory, place);
    assert_int_equal(chmod(place->dir, 0755), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(place->path, 0, 0) + chmod(place->path, 0666), 0);
        as_nobody(refuse_another_owner, place);
    }
    assert_content(place->path, before);
}

static void what_is_no_file_of_its_own_is_refused(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *other = ds_xasprintf("%s/other", place->dir);

    assert_refused(place->path, "cannot open '");
    assert_refused(place->dir, "is no regular file");
    put(place->path, before, 0644);
    assert_int_equal(link(place->path, other), 0);
    assert_refused(place->path, "has 2 names");
    assert_content(place->path, before);
    assert_int_equal(unlink(other), 0);
}

static void a_bad_configuration_is_refused(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *words = ds_xasprintf("%s:2:1: unknown key", place->path);
    static const char bad[] = "pushgateway: {servers: [a:1, b:1]}\nrings: {}\n";

    put(place->path, bad, 0644);
    assert_refused(place->path, words);
    assert_content(place->path, bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(the_file_is_replaced_once),
        IN_A_PLACE(a_check_writes_nothing),
        IN_A_PLACE(owner_and_group_stay),
        IN_A_PLACE(a_symbolic_link_stays_one),
        IN_A_PLACE(what_changed_meanwhile_is_edited),
        IN_A_PLACE(what_may_not_be_written_is_refused_before),
        IN_A_PLACE(what_is_no_file_of_its_own_is_refused),
        IN_A_PLACE(a_bad_configuration_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
