/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - what the handler answers beside pushes: who looks at the fleet, or at itself.
 *
 * Pure like handler.h.
 */
#ifndef DSHARD_FCGI_PAGES_H
#define DSHARD_FCGI_PAGES_H

#include "dshard/base.h"
#include "handler.h"

struct ds_fcgi_page {
    const char *path;
    /* Begins the response and appends headers and the body; returns the type of its
       content.  NULL: the page needs a state, there is none, and nothing was written. */
    const char *(*write)(const struct ds_view *view, const struct ds_request *request,
                         struct ds_response *response);
};

/* The page of that path, NULL when there is none. */
const struct ds_fcgi_page *ds_fcgi_page_find(const char *path, size_t len);

#endif
