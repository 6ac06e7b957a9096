/* SPDX-License-Identifier: Apache-2.0 */
/* see base.h */
#include "dshard/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *checked(void *p)
{
    if (!p) {
        fputs("dshard: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *ds_xmalloc(size_t size)
{
    return checked(malloc(size ? size : 1));
}

void *ds_xcalloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1));
}

void *ds_xreallocarray(void *p, size_t n, size_t size)
{
    return checked(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *ds_xstrdup(const char *s)
{
    return checked(strdup(s));
}

char *ds_xstrndup(const char *s, size_t len)
{
    return checked(strndup(s, len));
}

char *ds_xmemdup(const void *data, size_t len)
{
    char *copy = ds_xmalloc(len + 1);

    memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *ds_xasprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : s);
}

void ds_set_str(char **field, const char *s)
{
    char *copy = s ? ds_xstrdup(s) : NULL;

    free(*field);
    *field = copy;
}

void ds_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void ds_auto_str(char **s)
{
    free(*s);
}

void ds_auto_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

void ds_auto_ptr(void **p)
{
    free(*p);
}
