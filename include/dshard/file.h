/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - reading whole files, and replacing one so that no reader and no crash ever
 * sees half of it.
 */
#ifndef DSHARD_FILE_H
#define DSHARD_FILE_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

/* Appends the file's bytes; more than the buffer's maximum is DS_E_FORMAT.  path "-" is
   not special.  A missing file is DS_E_MISSING. */
int ds_file_read(struct ds_buf *out, const char *path, struct ds_error *err) DS_NODISCARD;
int ds_file_read_fd(struct ds_buf *out, int fd, const char *name, struct ds_error *err)
    DS_NODISCARD;

/* Opens a file for reading that must be a regular one (DS_E_FORMAT if it is none): a pipe
   would be waited for.  The descriptor, or -1. */
int ds_file_open_regular(const char *path, struct ds_error *err) DS_NODISCARD;

/*
 * A lock on the directory that holds a file (flock on the directory itself: there is no
 * lock file to own or to leave behind).  Waits up to timeout_ms (0: not at all);
 * DS_E_TEMP when somebody else keeps it.
 */
struct ds_file_lock {
    int fd; /* -1: not held */
};
#define DS_FILE_LOCK_INIT                                                                \
    {                                                                                    \
        -1                                                                               \
    }
int ds_file_lock_dir(struct ds_file_lock *lock, const char *path, int64_t timeout_ms,
                     struct ds_error *err) DS_NODISCARD;
/* The same on a file of its own, created if need be, 0644 and with the directory's owner:
   for a lock that is kept for long while others go on locking the directory for their
   short writes. */
int ds_file_lock_path(struct ds_file_lock *lock, const char *path, int64_t timeout_ms,
                      struct ds_error *err) DS_NODISCARD;
/* Whether somebody holds ds_file_lock_path(path) now; a missing file is not held. */
bool ds_file_is_locked(const char *path);
void ds_file_unlock(struct ds_file_lock *lock); /* may be called twice */
void ds_auto_file_lock(struct ds_file_lock *lock);

/*
 * Puts data in place of the file: a temporary file in the same directory, fsync, rename,
 * fsync of the directory.  The caller holds the directory's lock, so the temporary name
 * (".NAME.tmp") is fixed and cannot pile up.  The new file gets `mode`, and the owner and
 * group of the file it replaces (or of the directory) when the caller may set them.
 */
int ds_file_replace(const char *path, const char *data, size_t len, unsigned mode,
                    struct ds_error *err) DS_NODISCARD;

/* What tells that a file has been replaced or changed since. */
struct ds_file_id {
    uint64_t dev, ino;
    int64_t size, mtime_ns;
};
/* Returns 0, or -1 with errno set. */
int ds_file_id_of_fd(int fd, struct ds_file_id *id) DS_NODISCARD;
int ds_file_id_of_path(const char *path, struct ds_file_id *id) DS_NODISCARD;
bool ds_file_id_equal(const struct ds_file_id *a, const struct ds_file_id *b);

/* The directory part of path ("." without one), new. */
char *ds_file_dir(const char *path) DS_NODISCARD;

#endif
