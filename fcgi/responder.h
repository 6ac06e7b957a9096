/* SPDX-License-Identifier: Apache-2.0 */
/*
 * responder.h - one FastCGI request, read and answered through libfcgi.
 *
 * The only user of libfcgi (fcgiapp.h).  The library blocks, closes lingeringly and
 * believes what it reads, so it gets nothing but whole requests that frames.h has found
 * good, on descriptors that do not block, and it is told to close nothing.
 */
#ifndef DSHARD_FCGI_RESPONDER_H
#define DSHARD_FCGI_RESPONDER_H

#include "cache.h"
#include "dshard/base.h"
#include "dshard/error.h"
#include "handler.h"
#include "stats.h"

struct ds_responder;

struct ds_responder_config {
    struct ds_cache *cache; /* borrowed */
    enum ds_mode mode;      /* where the web server does not say another */
    const char *prefix;     /* likewise; borrowed; NULL: none */
    const char *host;       /* ours; borrowed; NULL: not known */
    struct ds_stats *stats; /* borrowed; counts every request before its answer goes out;
                               NULL: nothing is counted */
};

/* Once a process, signals blocked: libfcgi installs handlers for those it finds at their
   default. */
struct ds_responder *ds_responder_new(const struct ds_responder_config *config,
                                      struct ds_error *err) DS_NODISCARD;
void ds_responder_free(struct ds_responder *responder);
void ds_auto_responder(struct ds_responder **responder);

/*
 * Reads one request from *in and answers it on *out, which may be the same variable.  An
 * answer too long for one write goes to a new memory file in *rest instead (-1: it went
 * out), to be sent from its start; the caller closes it.  -1: the connection is broken. A
 * descriptor that libfcgi has closed, which it does on errors, is set to -1.
 */
int ds_responder_answer(struct ds_responder *responder, int *in, int *out, int *rest)
    DS_NODISCARD;

#endif
