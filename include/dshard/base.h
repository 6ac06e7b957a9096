/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - what every file of dshard may count on: attributes, memory, ownership.
 *
 * Memory: running out of it ends the process (the supervisor starts it again), so the
 * ds_x* functions never return NULL.  In exchange everything whose size somebody outside
 * controls has a stated maximum.
 *
 * Ownership: a local that owns something is declared with DS_AUTO(kind) and initialised
 * on the same line; its clean-up runs when it goes out of scope.  It leaves a function
 * with `return ds_steal(&p);`.
 */
#ifndef DSHARD_BASE_H
#define DSHARD_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DS_NODISCARD    __attribute__((warn_unused_result))
#define DS_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define DS_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* DS_AUTO(buf) struct ds_buf text = ...: ds_auto_buf(&text) runs at the end of the scope.
 */
#define DS_AUTO(kind) __attribute__((cleanup(ds_auto_##kind)))

/* A result that is dropped on purpose; say why in a comment beside it. */
#define ds_ignore(expr)                                                                  \
    do {                                                                                 \
        if (expr) {                                                                      \
        }                                                                                \
    } while (0)

void *ds_xmalloc(size_t size) DS_NODISCARD;
void *ds_xcalloc(size_t n, size_t size) DS_NODISCARD;
void *ds_xreallocarray(void *p, size_t n, size_t size) DS_NODISCARD;
char *ds_xstrdup(const char *s) DS_NODISCARD;
char *ds_xstrndup(const char *s, size_t len) DS_NODISCARD; /* up to a NUL byte */
/* All of these bytes, which may have NUL bytes among them, and one behind them. */
char *ds_xmemdup(const void *data, size_t len) DS_NODISCARD;
char *ds_xasprintf(const char *fmt, ...) DS_NODISCARD DS_PRINTF(1, 2);

/* Replaces *field, which is owned, by a copy of s (NULL: by NULL). */
void ds_set_str(char **field, const char *s);

/* Overwrites a secret, and frees it; NULL: nothing. */
void ds_wipe(char *secret);

/* Takes what *pp points to and leaves NULL there; pp is the address of any pointer. */
static inline void *ds_steal(void *pp)
{
    void *p;

    memcpy(&p, pp, sizeof p);
    memset(pp, 0, sizeof p);
    return p;
}

static inline int ds_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* Clean-ups for DS_AUTO: str and ptr free(), fd close()s unless it is negative. */
void ds_auto_str(char **s);
void ds_auto_ptr(void **p); /* for a local declared as `void *` */
void ds_auto_fd(int *fd);

#endif
