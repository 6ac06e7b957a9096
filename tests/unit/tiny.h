/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiny.h - a tiny HTTP server in a thread, for tests of clients.  Rules say what it
 * answers: raw bytes, for the address that was connected to and the path that was asked
 * for, the first rule that fits.  It listens on all of 127/8 at one port, so one server
 * can be many: 127.0.0.1, 127.0.0.2, ...
 */
#ifndef DSHARD_TEST_TINY_H
#define DSHARD_TEST_TINY_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dshard/buf.h"

enum { TINY_CONNS_MAX = 500, TINY_REQUEST_MAX = 8 * 1024 * 1024 };

enum tiny_then {
    TINY_KEEP,  /* waits for the next request, or for ever */
    TINY_CLOSE, /* closes the connection */
    TINY_FLOOD, /* sends the answer again and again */
    TINY_ECHO,  /* answers with the request's own text (answer is not used) */
};

struct tiny_rule {
    const char *host, *path; /* NULL: any; "127.0.0.7"; "/path", or "PUT /path" */
    const char *answer;      /* NULL: nothing */
    enum tiny_then then;
};

struct tiny_conn {
    int fd; /* -1: free */
    struct ds_buf in, out;
    size_t sent;
    const struct tiny_rule *flood;
    bool close_after;
};

struct tiny {
    const struct tiny_rule *rules; /* borrowed */
    size_t n_rules;
    int fd, stop[2];
    unsigned port;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct ds_buf last; /* the last request, under the mutex */
    atomic_size_t n_accepted, n_open, n_requests, most_open;
    struct tiny_conn conns[TINY_CONNS_MAX];
};

static inline void tiny_close(struct tiny *tiny, struct tiny_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    ds_buf_release(&conn->in);
    ds_buf_release(&conn->out);
    tiny->n_open--;
}

static inline void tiny_accept(struct tiny *tiny)
{
    int fd = accept4(tiny->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    size_t i = 0;

    if (fd < 0)
        return;
    while (i < TINY_CONNS_MAX && tiny->conns[i].fd >= 0)
        i++;
    if (i == TINY_CONNS_MAX) {
        close(fd);
        return;
    }
    tiny->conns[i] = (struct tiny_conn){.fd = fd,
                                        .in = DS_BUF_INIT(TINY_REQUEST_MAX),
                                        .out = DS_BUF_INIT(TINY_REQUEST_MAX)};
    tiny->n_accepted++;
    tiny->n_open++;
    if (tiny->n_open > tiny->most_open)
        tiny->most_open = (size_t)tiny->n_open;
}

/* How long the first request in the buffer is; 0: it is not there whole. */
static inline size_t tiny_request_len(const struct ds_buf *in)
{
    const char *end = strstr(in->data, "\r\n\r\n");
    const char *length = strstr(in->data, "Content-Length: ");
    size_t len = end ? (size_t)(end - in->data) + 4 : 0;

    if (len && length && length < end)
        len += strtoul(length + strlen("Content-Length: "), NULL, 10);
    return len <= in->len ? len : 0;
}

static inline bool tiny_fits(const struct tiny_rule *rule, const char *host,
                             const char *request)
{
    const char *space = strchr(request, ' ');
    const char *end = space ? space + 1 + strcspn(space + 1, " ?") : request;
    const char *from = space && rule->path && rule->path[0] == '/' ? space + 1 : request;

    if (rule->host && strcmp(rule->host, host) != 0)
        return false;
    return !rule->path || (strlen(rule->path) == (size_t)(end - from) &&
                           strncmp(rule->path, from, (size_t)(end - from)) == 0);
}

static inline const struct tiny_rule *tiny_rule_for(const struct tiny *tiny,
                                                    const struct tiny_conn *conn)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    char host[INET_ADDRSTRLEN] = "";

    if (getsockname(conn->fd, (struct sockaddr *)&address, &len) == 0 &&
        address.sin_family == AF_INET)
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
    for (size_t i = 0; i < tiny->n_rules; i++) {
        if (tiny_fits(&tiny->rules[i], host, conn->in.data))
            return &tiny->rules[i];
    }
    return NULL;
}

static inline void tiny_answer(struct tiny *tiny, struct tiny_conn *conn, size_t len)
{
    const struct tiny_rule *rule = tiny_rule_for(tiny, conn);

    pthread_mutex_lock(&tiny->mutex);
    ds_buf_clear(&tiny->last);
    ds_buf_add(&tiny->last, conn->in.data, len);
    pthread_mutex_unlock(&tiny->mutex);
    tiny->n_requests++;
    if (!rule)
        ds_buf_adds(&conn->out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    else if (rule->then == TINY_ECHO)
        ds_buf_addf(&conn->out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    else if (rule->answer)
        ds_buf_adds(&conn->out, rule->answer);
    if (rule && rule->then == TINY_ECHO)
        ds_buf_add(&conn->out, conn->in.data, len);
    conn->close_after = rule && rule->then == TINY_CLOSE;
    conn->flood = rule && rule->then == TINY_FLOOD ? rule : NULL;
    memmove(conn->in.data, conn->in.data + len, conn->in.len - len);
    ds_buf_truncate(&conn->in, conn->in.len - len);
}

static inline void tiny_read(struct tiny *tiny, struct tiny_conn *conn)
{
    char chunk[65536];
    ssize_t n = read(conn->fd, chunk, sizeof chunk);
    size_t len;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            tiny_close(tiny, conn);
        return;
    }
    ds_buf_add(&conn->in, chunk, (size_t)n);
    while ((len = tiny_request_len(&conn->in)))
        tiny_answer(tiny, conn, len);
}

static inline void tiny_write(struct tiny *tiny, struct tiny_conn *conn)
{
    ssize_t n = send(conn->fd, conn->out.data + conn->sent, conn->out.len - conn->sent,
                     MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN)
            tiny_close(tiny, conn);
        return;
    }
    conn->sent += (size_t)n;
    if (conn->sent < conn->out.len)
        return;
    ds_buf_clear(&conn->out);
    conn->sent = 0;
    if (conn->flood)
        ds_buf_adds(&conn->out, conn->flood->answer);
    else if (conn->close_after)
        tiny_close(tiny, conn);
}

static inline short tiny_events(const struct tiny_conn *conn)
{
    return conn->out.len || conn->close_after ? POLLIN | POLLOUT : POLLIN;
}

static inline void *tiny_serve(void *arg)
{
    struct tiny *tiny = arg;

    for (;;) {
        struct pollfd fds[TINY_CONNS_MAX + 2] = {{.fd = tiny->stop[0], .events = POLLIN},
                                                 {.fd = tiny->fd, .events = POLLIN}};

        for (size_t i = 0; i < TINY_CONNS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = tiny->conns[i].fd,
                                         .events = tiny_events(&tiny->conns[i])};
        if (poll(fds, DS_COUNT(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            return NULL;
        for (size_t i = 0; i < TINY_CONNS_MAX; i++) {
            if (fds[i + 2].revents & POLLOUT)
                tiny_write(tiny, &tiny->conns[i]);
            if (tiny->conns[i].fd >= 0 && (fds[i + 2].revents & (short)~POLLOUT))
                tiny_read(tiny, &tiny->conns[i]);
        }
        if (fds[1].revents)
            tiny_accept(tiny);
    }
}

/* For a socket that shares its port with one of tiny_closed_port(). */
static inline void tiny_share_port(int fd)
{
    const int on = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
}

/* unix_path: NULL for TCP; port 0: any that is free. */
static inline struct tiny *tiny_start_at(const struct tiny_rule *rules, size_t n,
                                         const char *unix_path, unsigned port)
{
    struct tiny *tiny = ds_xcalloc(1, sizeof *tiny);
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr *address = unix_path ? (void *)&local : (void *)&tcp;
    socklen_t len = unix_path ? sizeof local : sizeof tcp;

    pthread_mutex_init(&tiny->mutex, NULL);
    ds_buf_init(&tiny->last, TINY_REQUEST_MAX);
    tiny->rules = rules;
    tiny->n_rules = n;
    for (size_t i = 0; i < TINY_CONNS_MAX; i++)
        tiny->conns[i].fd = -1;
    if (unix_path)
        snprintf(local.sun_path, sizeof local.sun_path, "%s", unix_path);
    tiny->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(tiny->fd >= 0);
    tiny_share_port(tiny->fd);
    assert_int_equal(bind(tiny->fd, address, len), 0);
    assert_int_equal(listen(tiny->fd, TINY_CONNS_MAX), 0);
    assert_int_equal(getsockname(tiny->fd, address, &len), 0);
    tiny->port = ntohs(tcp.sin_port);
    assert_int_equal(pipe2(tiny->stop, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&tiny->thread, NULL, tiny_serve, tiny), 0);
    return tiny;
}

static inline struct tiny *tiny_start(const struct tiny_rule *rules, size_t n,
                                      const char *unix_path)
{
    return tiny_start_at(rules, n, unix_path, 0);
}

/* The last request as it was received; new. */
static inline char *tiny_last(struct tiny *tiny)
{
    char *text;

    pthread_mutex_lock(&tiny->mutex);
    text = ds_xstrdup(tiny->last.data);
    pthread_mutex_unlock(&tiny->mutex);
    return text;
}

/* Nobody listens there any more afterwards; open connections are closed. */
static inline void tiny_stop(struct tiny *tiny)
{
    close(tiny->stop[1]);
    pthread_join(tiny->thread, NULL);
    for (size_t i = 0; i < TINY_CONNS_MAX; i++) {
        if (tiny->conns[i].fd >= 0)
            tiny_close(tiny, &tiny->conns[i]);
    }
    close(tiny->fd);
    close(tiny->stop[0]);
    ds_buf_release(&tiny->last);
    pthread_mutex_destroy(&tiny->mutex);
    free(tiny);
}

/* A port where nobody listens.  As long as *fd is open nobody else gets it, and
   tiny_start_at() can listen there, more than once. */
static inline unsigned tiny_closed_port(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tiny_share_port(*fd);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

#endif
