/* SPDX-License-Identifier: Apache-2.0 */
/* see file.h */
#include "dshard/file.h"
#include "dshard/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_POLL_MS = 20 };

int ds_file_read_fd(struct ds_buf *out, int fd, const char *name, struct ds_error *err)
{
    char chunk[16384];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ds_fail_errno(err, "reading '%s'", name);
        if (n == 0)
            return 0;
        ds_buf_add(out, chunk, (size_t)n);
        if (out->over)
            return ds_fail(err, DS_E_FORMAT, "'%s' is larger than %zu bytes", name,
                           out->max);
    }
}

int ds_file_read(struct ds_buf *out, const char *path, struct ds_error *err)
{
    DS_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return ds_fail_errno(err, "cannot open '%s'", path);
    return ds_file_read_fd(out, fd, path, err);
}

int ds_file_open_regular(const char *path, struct ds_error *err)
{
    DS_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return ds_fail_errno(err, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return ds_fail(err, DS_E_FORMAT, "'%s' is no regular file", path);
    return ds_steal_fd(&fd);
}

char *ds_file_dir(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return ds_xstrdup(".");
    if (slash == path)
        return ds_xstrdup("/");
    return ds_xstrndup(path, (size_t)(slash - path));
}

static int wait_for_lock(struct ds_file_lock *lock, int *fd, const char *path,
                         int64_t timeout_ms, struct ds_error *err)
{
    int64_t deadline = ds_clock_mono_ms() + timeout_ms;

    while (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return ds_fail_errno(err, "cannot lock '%s'", path);
        if (ds_clock_mono_ms() >= deadline)
            return ds_fail(err, DS_E_TEMP, "'%s' is locked by another dshard", path);
        ds_clock_sleep_ms(LOCK_POLL_MS);
    }
    lock->fd = ds_steal_fd(fd);
    return 0;
}

int ds_file_lock_dir(struct ds_file_lock *lock, const char *path, int64_t timeout_ms,
                     struct ds_error *err)
{
    DS_AUTO(str) char *dir = ds_file_dir(path);
    DS_AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return ds_fail_errno(err, "cannot open the directory '%s'", dir);
    return wait_for_lock(lock, &fd, dir, timeout_ms, err);
}

/* A root cron job must not take the file from the user whose watch writes it; others can
   give it to the group that it had, if they are in it. */
static void keep_owner(int fd, const char *path, const char *dir)
{
    struct stat st;

    if (stat(path, &st) < 0 && (geteuid() != 0 || stat(dir, &st) < 0))
        return;
    /* As it is beats not at all. */
    ds_ignore(fchown(fd, geteuid() == 0 ? st.st_uid : (uid_t)-1, st.st_gid) < 0);
}

int ds_file_lock_path(struct ds_file_lock *lock, const char *path, int64_t timeout_ms,
                      struct ds_error *err)
{
    DS_AUTO(fd) int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    DS_AUTO(str) char *dir = ds_file_dir(path);

    if (fd < 0)
        return ds_fail_errno(err, "cannot open '%s'", path);
    /* Whoever made it: the next one may be somebody else.  Not ours: then it is as it is.
     */
    keep_owner(fd, dir, dir);
    ds_ignore(fchmod(fd, 0644) < 0);
    return wait_for_lock(lock, &fd, path, timeout_ms, err);
}

bool ds_file_is_locked(const char *path)
{
    DS_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void ds_file_unlock(struct ds_file_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

void ds_auto_file_lock(struct ds_file_lock *lock)
{
    ds_file_unlock(lock);
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_temporary(const char *temporary, const char *path, const char *dir,
                           const char *data, size_t len, unsigned mode,
                           struct ds_error *err)
{
    DS_AUTO(fd)
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return ds_fail_errno(err, "cannot create '%s'", temporary);
    keep_owner(fd, path, dir);
    if (fchmod(fd, (mode_t)mode) < 0 || write_all(fd, data, len) < 0 || fsync(fd) < 0)
        return ds_fail_errno(err, "cannot write '%s'", temporary);
    if (close(ds_steal_fd(&fd)) < 0)
        return ds_fail_errno(err, "cannot write '%s'", temporary);
    return 0;
}

static int sync_dir(const char *dir, struct ds_error *err)
{
    DS_AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return ds_fail_errno(err, "cannot sync the directory '%s'", dir);
    return 0;
}

int ds_file_replace(const char *path, const char *data, size_t len, unsigned mode,
                    struct ds_error *err)
{
    DS_AUTO(str) char *dir = ds_file_dir(path);
    const char *slash = strrchr(path, '/');
    DS_AUTO(str)
    char *temporary = ds_xasprintf("%s/.%s.tmp", dir, slash ? slash + 1 : path);

    if (write_temporary(temporary, path, dir, data, len, mode, err) < 0) {
        unlink(temporary);
        return -1;
    }
    if (rename(temporary, path) < 0) {
        ds_fail_errno(err, "cannot rename '%s' to '%s'", temporary, path);
        unlink(temporary);
        return -1;
    }
    return sync_dir(dir, err);
}

static void fill_id(const struct stat *st, struct ds_file_id *id)
{
    id->dev = st->st_dev;
    id->ino = st->st_ino;
    id->size = st->st_size;
    id->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int ds_file_id_of_fd(int fd, struct ds_file_id *id)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    fill_id(&st, id);
    return 0;
}

int ds_file_id_of_path(const char *path, struct ds_file_id *id)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -1;
    fill_id(&st, id);
    return 0;
}

bool ds_file_id_equal(const struct ds_file_id *a, const struct ds_file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns;
}
