/* SPDX-License-Identifier: Apache-2.0 */
/*
 * management.h - what a web server may ask a FastCGI program apart from requests: section
 * 4 of the FastCGI specification, version 1.0.
 *
 * GET_VALUES gets those of the specification's three variables that it names, each once;
 * a type that we do not know gets UNKNOWN_TYPE.  HAProxy asks (`option get-values`).
 * libfcgi would answer, too, but it says that there may be one connection only.  Pure.
 */
#ifndef DSHARD_FCGI_MANAGEMENT_H
#define DSHARD_FCGI_MANAGEMENT_H

#include "dshard/base.h"

enum { DS_MANAGEMENT_ANSWER_MAX = 128 };

/*
 * The record (of len bytes) is one that frames.h has found whole, DS_FRAMES_ASKED.  For
 * conns_max connections, each with one request at a time.  Returns the length of the
 * answer; 0: it ends within a name, or gives a value where it should ask for one.
 */
size_t ds_management_answer(const void *record, size_t len, size_t conns_max,
                            unsigned char out[DS_MANAGEMENT_ANSWER_MAX]);

#endif
