/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - HTTP requests; the only user of libcurl.
 *
 * Requests are started on a loop and end in a callback, so that one thread serves many
 * (`watch`); ds_http_do() is the same for one request that is waited for (commands).
 * Every request has limits on its time and on the size of the answer, follows no
 * redirect, speaks http and https only, and uses no proxy that the environment names.
 * Errors say method, URL, and curl's or the server's words; never a credential.
 */
#ifndef DSHARD_HTTP_H
#define DSHARD_HTTP_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

struct ds_http_loop;
struct ds_http_transfer;

enum { DS_HTTP_HEADERS_MAX = 8 };

/* Gets the body of an answer piece by piece; -1 ends the transfer. */
typedef int ds_http_sink_fn(void *arg, const char *data, size_t len);

/* Everything but sink_arg is borrowed only until ds_http_start() or ds_http_do() returns.
 */
struct ds_http_request {
    const char *method; /* NULL: GET */
    const char *url;
    const char *username, *password;          /* basic authentication; NULL: none */
    const char *headers[DS_HTTP_HEADERS_MAX]; /* "Name: value", as many as not NULL */
    const char *body;                         /* NULL: none; copied */
    size_t body_len;
    const char *unix_socket;                                      /* path; NULL: TCP */
    const char *ca_file, *cert_file, *key_file, *tls_server_name; /* NULL: defaults */
    bool tls_insecure;          /* takes any certificate */
    bool fresh;                 /* a connection of its own, closed afterwards */
    int64_t connect_timeout_ms; /* 0: timeout_ms */
    int64_t timeout_ms;         /* of the whole request; 0 is a defect */
    size_t body_max;            /* bytes of the answer; more is an error */
    /* Of an answer with status 200 the body goes here, and not to response->body; of
       others at most 1 MiB goes there.  NULL: all goes there. */
    ds_http_sink_fn *sink;
    void *sink_arg;
};

struct ds_http_response {
    int status;   /* 0: no whole answer came, see err */
    bool refused; /* the connection was refused: nobody listens there */
    bool timed_out;
    bool local;            /* for want of descriptors, threads or memory here */
    struct ds_buf body;    /* never more than body_max */
    struct ds_buf headers; /* as received, for ds_http_header() */
    size_t sunk;           /* bytes that the sink was given */
    bool stopped;          /* the sink ended it */
    int64_t begun_ms;      /* when the sink got its first bytes, as elapsed_ms */
    int64_t elapsed_ms;
    struct ds_error err; /* why status is 0; DS_E_NET */
};

/* Called once a request, from ds_http_loop_run(); may start and cancel other requests. */
typedef void ds_http_done_fn(void *arg, struct ds_http_response *response);

struct ds_http_loop *ds_http_loop_new(void);
void ds_http_loop_free(struct ds_http_loop *loop); /* cancels what still runs */

/* Never fails: what cannot be started ends in the callback, from the next run. */
struct ds_http_transfer *ds_http_start(struct ds_http_loop *loop,
                                       const struct ds_http_request *request,
                                       ds_http_done_fn *done, void *arg);
/* Ends it without a callback; the pointer is dead afterwards, as after the callback. */
void ds_http_cancel(struct ds_http_transfer *transfer);

/* Waits until something happens on a transfer or one of the descriptors can be read, at
   most timeout_ms, and runs the callbacks of what has ended. */
void ds_http_loop_run(struct ds_http_loop *loop, const int *fds, size_t n_fds,
                      int64_t timeout_ms);

/*
 * Does one request and waits for it.  0 when an answer came, whatever its status; -1 with
 * DS_E_NET and "GET http://...: words" when none did.  Release the response either way.
 */
int ds_http_do(const struct ds_http_request *request, struct ds_http_response *response,
               struct ds_error *err) DS_NODISCARD;
/* The same on a loop that is there already, so that its connections are used again. */
int ds_http_do_on(struct ds_http_loop *loop, const struct ds_http_request *request,
                  struct ds_http_response *response, struct ds_error *err) DS_NODISCARD;
void ds_http_response_init(struct ds_http_response *response);
void ds_http_response_release(struct ds_http_response *response);
void ds_auto_http_response(struct ds_http_response *response);

/* The value of a header of the answer, new, or NULL; names are compared without case. */
char *ds_http_header(const struct ds_http_response *response, const char *name)
    DS_NODISCARD;

/* The answer's Date in Unix milliseconds; -1 when it has none in the one form that RFC
   7231 lets servers write: "Sun, 06 Nov 1994 08:49:37 GMT". */
int64_t ds_http_date_ms(const struct ds_http_response *response);

/* DS_E_PEER: "GET http://...: 403: the first line of the answer". */
int ds_http_fail_status(const struct ds_http_request *request,
                        const struct ds_http_response *response, struct ds_error *err);

#endif
