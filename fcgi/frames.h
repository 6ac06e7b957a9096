/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.h - where a FastCGI request ends, from its bytes as they come in.
 *
 * libfcgi blocks while a request is incomplete, and it believes what the records say.  So
 * it is called only for a request that is whole and that this scanner has found to be
 * what libfcgi understands: BEGIN_REQUEST for a responder or an authorizer, the PARAMS
 * stream, the STDIN stream (a responder's), one request id throughout.  Before a request
 * there may be management records, which are answered without libfcgi (management.h).
 * Pure; bytes may come in any portions.
 */
#ifndef DSHARD_FCGI_FRAMES_H
#define DSHARD_FCGI_FRAMES_H

#include "dshard/base.h"

enum {
    DS_FRAMES_HEAD_MAX = 64 * 1024, /* bytes of a request up to the end of its PARAMS */
    DS_FRAMES_RECORD_HEADER = 8,
    DS_FRAMES_MANAGEMENT_MAX = 1024, /* bytes of content of a management record */
};

enum ds_frames_stage {
    DS_FRAMES_BEGIN,
    DS_FRAMES_PARAMS,
    DS_FRAMES_STDIN,
    DS_FRAMES_DONE,  /* the request is whole */
    DS_FRAMES_ASKED, /* no request: a management record is whole; begin again after it */
    DS_FRAMES_BAD,   /* not FastCGI as we speak it: close the connection */
};

struct ds_frames {
    enum ds_frames_stage stage;
    bool keep;       /* the web server asks to keep the connection (from PARAMS on) */
    bool has_stdin;  /* the role comes with a body (from PARAMS on) */
    uint16_t id;     /* of the request (from PARAMS on) */
    size_t head_len; /* bytes up to the end of PARAMS, so far */

    /* Private: the record that is being read. */
    unsigned char small[DS_FRAMES_RECORD_HEADER]; /* its header; then BEGIN's body */
    size_t n_small;
    bool in_record;
    size_t content_left, padding_left;
    /* Private: the name-value pair that is being read. */
    unsigned char lengths[8];
    size_t n_lengths, pair_left;
};

void ds_frames_init(struct ds_frames *frames);

/*
 * Reads on; returns how many of the bytes it used.  These are all of them, unless the
 * stage changed: then it stops there.  From DONE on nothing more is used.
 */
size_t ds_frames_feed(struct ds_frames *frames, const void *data, size_t len);

/* The 1 or 4 bytes of a name's or a value's length; 0: there are not enough of them. */
size_t ds_frames_length(const unsigned char *at, size_t len, size_t *out);

/* The record that ends the request's STDIN, for a request whose body was left out. */
void ds_frames_end_of_stdin(const struct ds_frames *frames,
                            unsigned char out[DS_FRAMES_RECORD_HEADER]);

#endif
