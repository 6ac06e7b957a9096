/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - the socket that the web server connects to.
 *
 * "unix:PATH" or "HOST:PORT".  A socket file that is left over is replaced when nobody
 * listens on it any more, and never else.
 */
#ifndef DSHARD_FCGI_LISTEN_H
#define DSHARD_FCGI_LISTEN_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/file.h"

enum { DS_LISTEN_BACKLOG = 511 }; /* nginx's own; the kernel cuts it to somaxconn */

struct ds_listen {
    int fd;               /* -1: none; not blocking, close-on-exec */
    char *path;           /* of the socket file that is ours; NULL: none */
    struct ds_file_id id; /* of that file */
};
#define DS_LISTEN_INIT                                                                   \
    {                                                                                    \
        .fd = -1                                                                         \
    }

/* DS_E_USAGE for a text that is neither form, else what failed.  mode is for unix. */
int ds_listen_open(struct ds_listen *listen, const char *where, unsigned mode,
                   struct ds_error *err) DS_NODISCARD;

/* Whether fd is a socket that listens. */
bool ds_listen_can_adopt(int fd);

/* Takes a listening socket that somebody else has made (fd 0). */
int ds_listen_adopt(struct ds_listen *listen, int fd, struct ds_error *err) DS_NODISCARD;

/* Removes the socket file if it is still ours, then closes; may be called twice. */
void ds_listen_close(struct ds_listen *listen);
void ds_auto_listen(struct ds_listen *listen);

#endif
