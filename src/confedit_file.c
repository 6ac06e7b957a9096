/* SPDX-License-Identifier: Apache-2.0 */
/* confedit_file.c - the file that is edited: whether it can be replaced, and doing it. */
#include "dshard/confedit.h"
#include "dshard/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TIMEOUT_MS = 5000, TRIES = 5, GROUPS_MAX = 1024 };

/* The file itself, whatever links lead there, as it was read. */
struct target {
    char *path;
    struct ds_file_id id;
    struct stat st;
    struct ds_buf text; /* edited */
    bool changed;
};

static void ds_auto_target(struct target *target)
{
    free(target->path);
    ds_buf_release(&target->text);
}

static int read_target(struct target *target, const char *path,
                       const struct ds_confedit *edit, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);
    DS_AUTO(fd) int fd = -1;

    *target = (struct target){.path = realpath(path, NULL)};
    ds_buf_init(&target->text, DS_CONFIG_BYTES_MAX);
    if (!target->path)
        return ds_fail_errno(err, "cannot open '%s'", path);
    fd = ds_file_open_regular(target->path, err);
    if (fd < 0)
        return -1;
    if (ds_file_id_of_fd(fd, &target->id) < 0 || fstat(fd, &target->st) < 0)
        return ds_fail_errno(err, "cannot stat '%s'", path);
    if (ds_file_read_fd(&text, fd, path, err) < 0)
        return -1;
    return ds_confedit_text(path, text.data, text.len, edit, &target->text,
                            &target->changed, err);
}

static bool is_our_group(gid_t group)
{
    gid_t groups[GROUPS_MAX];
    int n = getgroups(GROUPS_MAX, groups);

    if (group == getegid())
        return true;
    for (int i = 0; i < n; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* What would be lost when another file takes its place. */
static int check_identity(const struct target *target, const char *dir,
                          struct ds_error *err)
{
    const struct stat *st = &target->st;
    struct stat of_dir;

    if (stat(dir, &of_dir) < 0)
        return ds_fail_errno(err, "cannot stat '%s'", dir);
    if (of_dir.st_dev != st->st_dev)
        return ds_fail(err, DS_E_FAILED,
                       "'%s' is mounted there by itself and cannot be replaced: edit it "
                       "where it comes from",
                       target->path);
    if (st->st_nlink > 1)
        return ds_fail(err, DS_E_FAILED,
                       "'%s' has %lu names (hard links), which would part: edit it by "
                       "hand",
                       target->path, (unsigned long)st->st_nlink);
    if (geteuid() != 0 && (st->st_uid != geteuid() || !is_our_group(st->st_gid)))
        return ds_fail(err, DS_E_FAILED,
                       "'%s' belongs to user %lu, group %lu, and would be ours: run this "
                       "as its owner or as root",
                       target->path, (unsigned long)st->st_uid,
                       (unsigned long)st->st_gid);
    return 0;
}

static int check_target(const struct target *target, struct ds_error *err)
{
    DS_AUTO(str) char *dir = ds_file_dir(target->path);

    /* A file that may not be written is not to be written, even where it could be. */
    if (faccessat(AT_FDCWD, target->path, W_OK, AT_EACCESS) < 0)
        return ds_fail_errno(err, "cannot write '%s'", target->path);
    if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
        return ds_fail_errno(err, "cannot write in the directory '%s', to replace '%s'",
                             dir, target->path);
    return check_identity(target, dir, err);
}

int ds_confedit_check(const char *path, const struct ds_confedit *edit, bool *changed,
                      struct ds_error *err)
{
    DS_AUTO(target) struct target target;

    if (read_target(&target, path, edit, err) < 0)
        return -1;
    *changed = target.changed;
    return target.changed ? check_target(&target, err) : 0;
}

/* 1: the file is another one by now. */
static int replace(const struct target *target, struct ds_error *err)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct ds_file_id now;

    if (ds_file_lock_dir(&lock, target->path, LOCK_TIMEOUT_MS, err) < 0)
        return -1;
    if (ds_file_id_of_path(target->path, &now) < 0 ||
        !ds_file_id_equal(&now, &target->id))
        return 1;
    return ds_file_replace(target->path, target->text.data, target->text.len,
                           target->st.st_mode & 07777, err);
}

int ds_confedit_file(const char *path, const struct ds_confedit *edit, bool *changed,
                     struct ds_error *err)
{
    for (int i = 0; i < TRIES; i++) {
        DS_AUTO(target) struct target target;
        int rc;

        if (read_target(&target, path, edit, err) < 0)
            return -1;
        *changed = target.changed;
        if (!target.changed)
            return 0;
        if (check_target(&target, err) < 0)
            return -1;
        rc = replace(&target, err);
        if (rc <= 0)
            return rc;
    }
    return ds_fail(err, DS_E_TEMP, "'%s' changes all the time", path);
}
