/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_impl.h - what the files of pushgateway share; private to them. */
#ifndef DSHARD_PUSHGATEWAY_IMPL_H
#define DSHARD_PUSHGATEWAY_IMPL_H

#include "dshard/http.h"
#include "dshard/pushgateway.h"

static const size_t DS_PUSHGATEWAY_ANSWER_MAX = (size_t)512 * 1024 * 1024;

struct ds_pushgateway {
    char address[DS_ADDRESS_MAX];
    char *base; /* "http://host:port/prefix"; paths are put behind it */
    char *username, *password;
    int64_t timeout_ms;
    struct ds_http_loop *loop; /* keeps the connection */
};

/* New: the URL of a path. */
char *ds_pushgateway_url(const struct ds_pushgateway *server, const char *path)
    DS_NODISCARD;
/* With credentials and limits; url is borrowed. */
struct ds_http_request ds_pushgateway_request(const struct ds_pushgateway *server,
                                              const char *url);
/* Does it.  -1: no answer came.  Release the response either way. */
int ds_pushgateway_do(struct ds_pushgateway *server,
                      const struct ds_http_request *request,
                      struct ds_http_response *response, struct ds_error *err)
    DS_NODISCARD;
/* The same; an answer with another status than 200 is a failure, too. */
int ds_pushgateway_get(struct ds_pushgateway *server,
                       const struct ds_http_request *request,
                       struct ds_http_response *response, struct ds_error *err)
    DS_NODISCARD;
/* Why no answer came; *err gets the code that callers of this module know. */
int ds_pushgateway_fail(const struct ds_http_response *response, struct ds_error *err);

/* One reading of /api/v1/metrics. */
struct ds_listing {
    char *url;
    struct ds_group_splitter *splitter;
    struct ds_error err; /* why the answer was not taken */
    int64_t sent_ms;     /* our clock */
};

/* Fills the request, which borrows from the listing and calls `each` for each group. */
void ds_listing_begin(struct ds_listing *listing, const struct ds_pushgateway *server,
                      ds_group_text_fn *each, void *arg, struct ds_http_request *request);
/* Releases the listing, and says whether that was a whole list. */
int ds_listing_end(struct ds_listing *listing, const struct ds_http_response *response,
                   struct ds_error *err) DS_NODISCARD;
/* What the answer says about the server. */
void ds_listing_fill(const struct ds_listing *listing,
                     const struct ds_http_response *response, struct ds_inventory *out);
/* Not reached, and why; no group stays. */
void ds_listing_fail(struct ds_inventory *out, const struct ds_error *err);

#endif
