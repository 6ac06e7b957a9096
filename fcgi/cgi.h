/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi.h - plain CGI (RFC 3875): one request from the environment, the answer on stdout.
 *
 * The body is none of our business, but it is read before the answer is given: a web
 * server that cannot write it logs an error, and Apache's mod_cgid loses the answer too.
 * Two limits keep a client from holding the process.  At either the rest is left unread
 * and the request is answered all the same; the web server drops that rest by itself.
 */
#ifndef DSHARD_FCGI_CGI_H
#define DSHARD_FCGI_CGI_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "responder.h"

enum {
    DS_CGI_BODY_MAX = 1024 * 1024 * 1024, /* bytes that are read of a body */
    DS_CGI_BODY_BUDGET_MS = 5000,         /* and for how long */
};

/* True when a web server has started this process for one request. */
bool ds_cgi_is_wanted(void);

/* Answers it by the state file as it is then. */
int ds_cgi_run(const struct ds_responder_config *config, struct ds_error *err)
    DS_NODISCARD;

#endif
