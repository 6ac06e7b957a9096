/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - the command line of dshard-fcgi.
 */
#ifndef DSHARD_FCGI_OPTIONS_H
#define DSHARD_FCGI_OPTIONS_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"
#include "handler.h"

struct ds_options {
    const char *listen; /* NULL: descriptor 0, or CGI */
    const char *state;  /* never NULL after parsing */
    const char *prefix; /* NULL: none */
    enum ds_mode mode;
    unsigned workers;     /* 0: no parent, this process serves */
    unsigned socket_mode; /* permissions of a unix socket */
    bool help, version;

    /* Private: as given. */
    const char *mode_text, *socket_mode_text, *workers_text;
};

/* Reads argv without the program's name; texts are borrowed from it.  environment_state
   is $DSHARD_STATE or NULL.  DS_E_USAGE says what is wrong with which option. */
int ds_options_parse(struct ds_options *options, int argc, char **argv,
                     const char *environment_state, struct ds_error *err) DS_NODISCARD;

/* Appends what --help prints. */
void ds_options_help(struct ds_buf *out);

#endif
