/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi.h - plain CGI (RFC 3875): one request from the environment, the answer on stdout.
 */
#ifndef DSHARD_FCGI_CGI_H
#define DSHARD_FCGI_CGI_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "responder.h"

/* True when a web server has started this process for one request. */
bool ds_cgi_is_wanted(void);

/* Answers it.  The body of the request is not read: it is none of our business. */
int ds_cgi_run(const struct ds_responder_config *config, struct ds_error *err)
    DS_NODISCARD;

#endif
