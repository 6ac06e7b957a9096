/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - a state in memory and its file, kept in step while others write it too.
 *
 * Commands write what operators want (intent, weight), the watch writes what it sees
 * (health, members).  A keeper takes over the former from the file whenever that has
 * changed, with the `operation` of whoever moves groups, and puts the latter there. Every
 * write happens under the directory's lock:
 *
 *     ds_keeper_lock(); ds_keeper_sync(); ...change keeper.state...; ds_keeper_save();
 *     ds_keeper_unlock();
 *
 * A file that is damaged or of a newer format is set aside as PATH.bad (one is kept).
 */
#ifndef DSHARD_KEEPER_H
#define DSHARD_KEEPER_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/state.h"

struct ds_keeper {
    char *path;
    struct ds_state state;
    struct ds_file_lock lock;  /* of the directory, during a write */
    struct ds_file_lock alive; /* of PATH's watch, as long as a watch runs */
    int fd;                    /* the file that was read, so that its inode stays taken */
    struct ds_error unreadable; /* why, after DS_KEEPER_UNREAD */
    struct ds_file_id id;       /* of fd */
    bool unsure;                /* somebody may have replaced it right after a write */
    bool stuck;                 /* a bad file cannot be set aside: said once */
};

/* What ds_keeper_sync() found. */
enum ds_keeper_news {
    DS_KEEPER_SAME,   /* nothing that matters here */
    DS_KEEPER_INTENT, /* an operator's act: intents, weights or servers changed */
    DS_KEEPER_UNREAD, /* it cannot be read, which may pass: do not write over it */
    DS_KEEPER_LOST,   /* it is gone, bad, or has a ring of its own: write it again */
};

void ds_keeper_init(struct ds_keeper *keeper, const char *path);
void ds_keeper_release(struct ds_keeper *keeper);
void ds_auto_keeper(struct ds_keeper *keeper);

/* Becomes the one watch of the file; DS_E_TEMP when there is another. */
int ds_keeper_claim(struct ds_keeper *keeper, int64_t timeout_ms, struct ds_error *err)
    DS_NODISCARD;
/* Whether a watch keeps this file now. */
bool ds_keeper_is_claimed(const char *path);

/* Reads the file for the first time: all of it.  A missing one is an empty state; a bad
   one is set aside with a log line when `set_aside`, else an error. */
int ds_keeper_load(struct ds_keeper *keeper, bool set_aside, struct ds_error *err)
    DS_NODISCARD;

/* Reads it again if it has changed, and takes over intents, weights and servers. */
enum ds_keeper_news ds_keeper_sync(struct ds_keeper *keeper);
/* Whether the file is another one than was read or written last. */
bool ds_keeper_is_behind(const struct ds_keeper *keeper);

int ds_keeper_lock(struct ds_keeper *keeper, int64_t timeout_ms, struct ds_error *err)
    DS_NODISCARD;
void ds_keeper_unlock(struct ds_keeper *keeper);
/* Stamps and writes the state; the lock is held. */
int ds_keeper_save(struct ds_keeper *keeper, struct ds_error *err) DS_NODISCARD;

/* Takes over what the configuration says: servers never seen before, weights, scheme,
   prefix, source.  Once for each configuration: a weight that a command gives later is
   not to be undone.  True when something changed. */
bool ds_keeper_configure(struct ds_keeper *keeper, const struct ds_config *config);
/* Of that, only the servers never seen before; each time before a ring is decided. */
bool ds_keeper_add_configured(struct ds_keeper *keeper, const struct ds_config *config);

#endif
