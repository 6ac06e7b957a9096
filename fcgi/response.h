/* SPDX-License-Identifier: Apache-2.0 */
/*
 * response.h - what is said to the web server: a CGI response (RFC 3875), a head that
 * ends in an empty line, and a body.
 *
 * One struct is meant for many responses: its buffers keep their memory.  What is too
 * long sets `over` in a buffer and is never cut in silence.
 */
#ifndef DSHARD_FCGI_RESPONSE_H
#define DSHARD_FCGI_RESPONSE_H

#include "dshard/base.h"
#include "dshard/buf.h"

struct ds_response {
    unsigned status; /* HTTP's */
    struct ds_buf head, body;
};

/* A HEAD request gets the length of the body and not the body. */
enum ds_response_part { DS_RESPONSE_WHOLE, DS_RESPONSE_HEAD };

void ds_response_init(struct ds_response *response);
void ds_response_release(struct ds_response *response); /* may be called twice */
void ds_auto_response(struct ds_response *response);

/* Drops what was there; ds_response_finish() writes the status line. */
void ds_response_begin(struct ds_response *response, unsigned status);
/* The value is ours or was checked: nothing is escaped. */
void ds_response_header(struct ds_response *response, const char *name,
                        const char *value);
/* Appends bytes of a URL; what may not stand in a header is percent-escaped, although the
   parser of targets lets nothing of the kind through. */
void ds_response_add_url(struct ds_buf *out, const char *data, size_t len);
/* Ends the head; the body is complete. */
void ds_response_finish(struct ds_response *response, const char *type,
                        uint64_t generation, enum ds_response_part part);

#endif
