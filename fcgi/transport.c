/* SPDX-License-Identifier: Apache-2.0 */
/* see transport.h */
#include "dshard/clock.h"
#include "dshard/log.h"
#include "transport_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64,
    ACCEPT_PAUSE_MS = 100, /* when the system has no descriptor left for us */
};

static void transport_release(struct ds_transport *t)
{
    ds_conns_release(&t->conns);
    ds_auto_fd(&t->request);
    ds_auto_fd(&t->signals);
    ds_auto_fd(&t->epoll);
}

static void ds_auto_transport(struct ds_transport **t)
{
    if (*t)
        transport_release(*t);
    free(*t);
}

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGUSR1);
}

void ds_transport_block_signals(void)
{
    sigset_t set;

    fill_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* there is nothing to re-read that is not followed anyway */
}

static int listen_to(struct ds_transport *t, int op)
{
    /* Of several workers one is woken. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.ptr = t->listening};

    return epoll_ctl(t->epoll, op, t->listening->fd, &event);
}

static void on_conn(struct ds_transport *t, struct ds_conn *conn, uint32_t events)
{
    /* Told once: after the answer to what has come, nothing will come any more. */
    conn->ends = conn->ends || (events & EPOLLRDHUP);
    if (conn->state == DS_CONN_IDLE)
        ds_transport_look(t, conn);
    else if (conn->state == DS_CONN_READING)
        ds_transport_read_more(t, conn);
    else if (conn->state == DS_CONN_SENDING)
        ds_transport_send_more(t, conn);
    /* else it was closed earlier in this round */
}

/* False: there is no connection that could make room.  Who is to do it may have got on
   while nobody looked: then it is the next one's turn. */
static bool make_room(struct ds_transport *t)
{
    struct ds_conn *conn = ds_conns_oldest(&t->conns);

    for (size_t n = t->conns.n; n; n--) {
        uint64_t turn = conn->turn;

        on_conn(t, conn, 0);
        if (conn->state == DS_CONN_FREE)
            return true;
        if (conn->turn == turn)
            break;
        conn = ds_conns_oldest(&t->conns);
    }
    if (conn)
        ds_conns_drop(&t->conns, conn);
    return conn;
}

/* The new connection, or -1; *is_short says whether that is for want of descriptors. */
static int accept_fd(struct ds_transport *t, bool *is_short)
{
    int fd = accept4(t->listening->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    *is_short = fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                           errno == ENOMEM);
    return fd;
}

/* Accepts one connection; false: none waits, or there is no descriptor for it. */
static bool accept_one(struct ds_transport *t)
{
    bool is_short;
    int fd = accept_fd(t, &is_short);
    struct ds_conn *conn;

    if (is_short && make_room(t))
        fd = accept_fd(t, &is_short);
    if (fd < 0) {
        if (is_short && listen_to(t, EPOLL_CTL_DEL) == 0)
            t->accept_at_ms = t->now_ms + ACCEPT_PAUSE_MS;
        return false;
    }
    conn = ds_conns_add(&t->conns, fd);
    if (!conn && make_room(t)) /* not before: another may have taken it */
        conn = ds_conns_add(&t->conns, fd);
    if (conn)
        ds_transport_look(t, conn);
    else
        close(fd);
    return true;
}

/* One that is new and has sent nothing yet is about to. */
static void drop_idle(struct ds_transport *t)
{
    struct ds_conn *next;

    for (struct ds_conn *conn = t->conns.first[DS_CONN_IDLE]; conn; conn = next) {
        next = conn->next;
        ds_transport_look(t, conn); /* a request may have come just now */
        if (conn->state == DS_CONN_IDLE && conn->used)
            ds_conns_drop(&t->conns, conn); /* closing takes it out of epoll */
    }
}

/* Nothing new is taken on; what waits in the backlog was connected before. */
static void begin_stop(struct ds_transport *t)
{
    if (ds_transport_is_stopping(t))
        return;
    t->stop_at_ms = t->now_ms + DS_STOP_BUDGET_MS;
    /* Closing it does not: others have the socket, too, and would not be woken for what
       was told to us. */
    ds_ignore(listen_to(t, EPOLL_CTL_DEL) < 0);
    drop_idle(t); /* first: they make room for those */
    for (int i = 0; i < DS_LISTEN_BACKLOG && accept_one(t); i++)
        ;
    t->accept_at_ms = INT64_MAX;
    ds_listen_close(t->listening);
}

static void on_signal(struct ds_transport *t)
{
    struct signalfd_siginfo info;

    if (read(t->signals, &info, sizeof info) == (ssize_t)sizeof info)
        begin_stop(t);
}

static int wait_ms(const struct ds_transport *t)
{
    int64_t until = t->conns.expire_at_ms;

    if (t->accept_at_ms < until)
        until = t->accept_at_ms;
    if (t->stop_at_ms < until)
        until = t->stop_at_ms;
    if (until == INT64_MAX)
        return -1;
    return until > t->now_ms ? (int)(until - t->now_ms) : 0;
}

static void on_time(struct ds_transport *t)
{
    t->now_ms = ds_clock_mono_tick_ms();
    ds_conns_expire(&t->conns, t->now_ms);
    if (t->now_ms >= t->accept_at_ms && listen_to(t, EPOLL_CTL_ADD) == 0)
        t->accept_at_ms = INT64_MAX;
}

static int loop(struct ds_transport *t, struct ds_error *err)
{
    struct epoll_event events[EVENTS_MAX];

    while (!ds_transport_is_stopping(t) || (t->conns.n && t->now_ms < t->stop_at_ms)) {
        int n = epoll_wait(t->epoll, events, EVENTS_MAX, wait_ms(t));
        bool connects = false;

        if (n < 0 && errno != EINTR)
            return ds_fail_errno(err, "cannot wait for connections");
        on_time(t);
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;

            if (what == t->listening)
                connects = true;
            else if (what == &t->signals)
                on_signal(t);
            else
                on_conn(t, what, events[i].events);
        }
        /* Last: who has to make room must not be one whose request has come. */
        if (connects && !ds_transport_is_stopping(t))
            accept_one(t);
    }
    return 0;
}

static int transport_init(struct ds_transport *t, struct ds_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &t->signals};
    sigset_t set;

    fill_signals(&set);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (t->epoll < 0 || t->signals < 0 ||
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->signals, &event) < 0 ||
        listen_to(t, EPOLL_CTL_ADD) < 0)
        return ds_fail_errno(err, "cannot set up epoll");
    return 0;
}

int ds_transport_run(struct ds_listen *listening, struct ds_responder *responder,
                     struct ds_error *err)
{
    DS_AUTO(transport) struct ds_transport *t = ds_xcalloc(1, sizeof *t);

    t->listening = listening;
    t->responder = responder;
    t->epoll = t->signals = t->request = -1;
    t->accept_at_ms = t->stop_at_ms = INT64_MAX;
    t->now_ms = ds_clock_mono_tick_ms();
    ds_conns_init(&t->conns, ds_conns_limit());
    if (transport_init(t, err) < 0)
        return -1;
    return loop(t, err);
}
