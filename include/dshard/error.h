/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - what went wrong, in words for a person and a code for a program.
 *
 * The struct belongs to the caller, has a fixed size and never allocates.  A function
 * that can fail takes a `struct ds_error *err` (never NULL) as its last parameter and
 * returns 0 or -1, a pointer or NULL; on success *err is untouched.  The place that
 * detects a failure calls ds_fail(), and each layer on the way up that knows something
 * new (a file, a server, a URL) calls ds_wrap().
 *
 * Texts name the subject and the place, start in lower case and have no full stop:
 *     '/var/lib/dshard/ring.json': line 3, column 9: "replicas" wants a number
 */
#ifndef DSHARD_ERROR_H
#define DSHARD_ERROR_H

#include "dshard/base.h"

enum ds_code {
    DS_OK = 0,
    DS_E_FAILED,    /* it did not work, and why is in the text */
    DS_E_USAGE,     /* the command line is wrong */
    DS_E_CONFIG,    /* the configuration is wrong */
    DS_E_NO,        /* the answer is "no", or a check found something */
    DS_E_REFUSED,   /* a guard refused; --force exists */
    DS_E_TEMP,      /* cannot be done now: try again */
    DS_E_MISSING,   /* the file or thing does not exist */
    DS_E_SYSTEM,    /* a system call failed */
    DS_E_NET,       /* a peer could not be reached or broke off */
    DS_E_PEER,      /* a peer answered with an error */
    DS_E_FORMAT,    /* data that is not what it should be */
    DS_E_NEWER,     /* a format newer than this program knows */
    DS_E_BAD_PATH,  /* a push path that no Pushgateway may see */
    DS_E_NOT_FOUND, /* a path that is none of ours */
    DS_E_TOO_LONG,  /* a path over the limit */
};

enum { DS_ERROR_TEXT_MAX = 2048 };

struct ds_error {
    enum ds_code code;
    char text[DS_ERROR_TEXT_MAX]; /* ends in "..." when it was cut */
};

#define DS_ERROR_INIT                                                                    \
    {                                                                                    \
        DS_OK, ""                                                                        \
    }

/* Sets code and text; always returns -1, so that `return ds_fail(...)` is one line. */
int ds_fail(struct ds_error *err, enum ds_code code, const char *fmt, ...)
    DS_PRINTF(3, 4);

/* The same for a system call that just failed: DS_E_SYSTEM (DS_E_MISSING for ENOENT), and
   ": " and errno's words behind the text. */
int ds_fail_errno(struct ds_error *err, const char *fmt, ...) DS_PRINTF(2, 3);

/* Puts "TEXT: " in front of the text that is there; always returns -1. */
int ds_wrap(struct ds_error *err, const char *fmt, ...) DS_PRINTF(2, 3);

/* The exit status of a command that failed with this code: 1, 2, 3, 5 or 75. */
int ds_code_exit_status(enum ds_code code);

/* The HTTP status for a request that failed with this code: 400, 404, 414 or 503. */
int ds_code_http_status(enum ds_code code);

#endif
