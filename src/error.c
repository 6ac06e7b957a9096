/* SPDX-License-Identifier: Apache-2.0 */
/* see error.h */
#include "dshard/error.h"

#include <errno.h>
#include <stdio.h>

static const char ELLIPSIS[] = "...";

static void mark_cut(struct ds_error *err, int wanted)
{
    if (wanted >= (int)sizeof err->text)
        memcpy(err->text + sizeof err->text - sizeof ELLIPSIS, ELLIPSIS, sizeof ELLIPSIS);
}

int ds_fail(struct ds_error *err, enum ds_code code, const char *fmt, ...)
{
    va_list ap;

    err->code = code;
    va_start(ap, fmt);
    mark_cut(err, vsnprintf(err->text, sizeof err->text, fmt, ap));
    va_end(ap);
    return -1;
}

int ds_fail_errno(struct ds_error *err, const char *fmt, ...)
{
    int saved = errno;
    char what[DS_ERROR_TEXT_MAX / 2];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ds_fail(err, saved == ENOENT ? DS_E_MISSING : DS_E_SYSTEM, "%s: %s", what,
                   strerror(saved));
}

int ds_wrap(struct ds_error *err, const char *fmt, ...)
{
    struct ds_error inner = *err;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (len >= 0 && len < (int)sizeof err->text) {
        size_t room = sizeof err->text - (size_t)len;

        len += snprintf(err->text + len, room, ": %s", inner.text);
    }
    mark_cut(err, len);
    return -1;
}

int ds_code_exit_status(enum ds_code code)
{
    switch (code) {
    case DS_OK:
        return 0;
    case DS_E_USAGE:
    case DS_E_CONFIG:
        return 2;
    case DS_E_NO:
        return 3;
    case DS_E_REFUSED:
        return 5;
    case DS_E_TEMP:
        return 75;
    case DS_E_FAILED:
    case DS_E_MISSING:
    case DS_E_SYSTEM:
    case DS_E_NET:
    case DS_E_PEER:
    case DS_E_FORMAT:
    case DS_E_NEWER:
    case DS_E_BAD_PATH:
    case DS_E_NOT_FOUND:
    case DS_E_TOO_LONG:
        break;
    }
    return 1;
}

int ds_code_http_status(enum ds_code code)
{
    if (code == DS_E_BAD_PATH)
        return 400;
    if (code == DS_E_NOT_FOUND)
        return 404;
    if (code == DS_E_TOO_LONG)
        return 414;
    return 503;
}
