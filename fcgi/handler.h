/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler.h - from the ring and a request to the response.
 *
 * Pure: no socket, file, clock or global; the time comes with the request.  No byte of a
 * request reaches the head of the response unescaped.  The structs are made for many
 * requests: their buffers keep their memory, so that a request allocates nothing once
 * they are warm.
 */
#ifndef DSHARD_FCGI_HANDLER_H
#define DSHARD_FCGI_HANDLER_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/counters.h"
#include "dshard/error.h"
#include "dshard/groupkey.h"
#include "response.h"
#include "view.h"

/* How a push reaches its owner. */
enum ds_mode {
    DS_MODE_REDIRECT, /* 307: the client goes there itself */
    DS_MODE_PROXY,    /* X-Accel-Redirect: nginx takes the push there */
    DS_MODE_AUTH, /* the answer to nginx's auth_request: 200 and the target in headers */
};
enum { DS_N_MODES = 3 };

/* "redirect", "proxy", "auth"; _parse returns -1 for any other text. */
const char *ds_mode_name(enum ds_mode mode);
int ds_mode_parse(const char *text, enum ds_mode *out) DS_NODISCARD;

struct ds_request {
    const char *method; /* NULL: the web server did not say */
    const char *target; /* REQUEST_URI: as the client sent it; NULL as above */
    const char *accept; /* NULL: none */
    const char *mode;   /* DSHARD_MODE; NULL or "": default_mode */
    const char *prefix; /* DSHARD_PREFIX; NULL: default_prefix */
    enum ds_mode default_mode;
    const char *default_prefix; /* NULL: none */
    const char *host;           /* ours, for the status page; NULL: not known */
    int64_t now_ms;             /* Unix time, for the pages that tell ages */
};

/* Sets the field that a CGI variable, NAME=VALUE, is about; others are ignored.  The
   value is borrowed. */
void ds_request_param(struct ds_request *request, const char *variable);

struct ds_handler {
    struct ds_groupkey group;
    struct ds_buf url; /* of the group at its owner */
    struct ds_error err;
    struct ds_outcome outcome; /* of the last request, for who counts */
};

void ds_handler_init(struct ds_handler *handler);
void ds_handler_release(struct ds_handler *handler); /* may be called twice */
void ds_auto_handler(struct ds_handler *handler);

/* Always answers; what was in *response before is gone. */
void ds_handler_answer(struct ds_handler *handler, const struct ds_view *view,
                       const struct ds_request *request, struct ds_response *response);

/* A prefix to cut from request paths: "", or "/PATH" in clean form.  DS_E_USAGE. */
int ds_prefix_check(const char *prefix, struct ds_error *err) DS_NODISCARD;

#endif
