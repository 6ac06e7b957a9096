/* SPDX-License-Identifier: Apache-2.0 */
/* see transport.h */
#include "transport.h"
#include "conns.h"
#include "dshard/clock.h"
#include "dshard/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64,
    ACCEPT_PAUSE_MS = 100, /* when the system has no descriptor left for us */
    WINDOW = 64 * 1024,
};

static const uint32_t WATCH_IDLE = EPOLLIN | EPOLLRDHUP | EPOLLET;
static const uint32_t WATCH_READING = EPOLLIN;
static const uint32_t WATCH_SENDING = EPOLLOUT;

struct transport {
    struct ds_listen *listening;
    struct ds_responder *responder;
    struct ds_conns conns;
    int epoll, signals;
    int request;          /* memory file: a request that came in parts; -1: not yet */
    int64_t now_ms;       /* monotonic, of this round */
    int64_t accept_at_ms; /* accept again then; INT64_MAX: accepting, or at the end */
    int64_t stop_at_ms;   /* leave then at the latest; INT64_MAX: nobody asked */
    unsigned char window[WINDOW];
};

static void transport_release(struct transport *t)
{
    ds_conns_release(&t->conns);
    ds_auto_fd(&t->request);
    ds_auto_fd(&t->signals);
    ds_auto_fd(&t->epoll);
}

static void ds_auto_transport(struct transport **t)
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

static bool is_stopping(const struct transport *t)
{
    return t->stop_at_ms != INT64_MAX;
}

static void drop(struct transport *t, struct ds_conn *conn)
{
    ds_conns_drop(&t->conns, conn); /* closing takes it out of epoll */
}

static void watch(struct transport *t, struct ds_conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    int op = conn->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (conn->events == events)
        return;
    if (epoll_ctl(t->epoll, op, conn->fd, &event) < 0)
        drop(t, conn);
    else
        conn->events = events;
}

static void become_idle(struct transport *t, struct ds_conn *conn)
{
    if (!conn->keep || conn->ends || is_stopping(t)) {
        drop(t, conn);
        return;
    }
    ds_buf_release(&conn->head);
    ds_conns_move(&t->conns, conn, DS_CONN_IDLE, t->now_ms);
    watch(t, conn, WATCH_IDLE);
}

static void send_more(struct transport *t, struct ds_conn *conn)
{
    while (conn->answer_at < conn->answer_len) {
        off_t at = conn->answer_at;
        ssize_t n = sendfile(conn->fd, conn->answer, &at,
                             (size_t)(conn->answer_len - conn->answer_at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            watch(t, conn, WATCH_SENDING);
            return;
        }
        if (n <= 0) {
            drop(t, conn);
            return;
        }
        conn->answer_at += n;
        ds_conns_progress(&t->conns, conn, (size_t)n, t->now_ms);
    }
    ds_auto_fd(&conn->answer);
    conn->answer = -1;
    become_idle(t, conn);
}

/* Lets libfcgi read the request from *in and answer it. */
static void answer(struct transport *t, struct ds_conn *conn, int *in)
{
    conn->used = true;
    if (ds_responder_answer(t->responder, in, &conn->fd, &conn->answer) < 0) {
        drop(t, conn);
        return;
    }
    if (conn->answer < 0) {
        become_idle(t, conn);
        return;
    }
    conn->answer_at = 0;
    conn->answer_len = lseek(conn->answer, 0, SEEK_END);
    ds_conns_move(&t->conns, conn, DS_CONN_SENDING, t->now_ms);
    send_more(t, conn);
}

/* The request has come in parts and its body is dropped: libfcgi reads what is left of it
   from a memory file. */
static void answer_gathered(struct transport *t, struct ds_conn *conn)
{
    struct ds_buf *head = &conn->head;

    if (conn->frames.has_stdin) {
        unsigned char end[DS_FRAMES_RECORD_HEADER];

        ds_frames_end_of_stdin(&conn->frames, end);
        ds_buf_add(head, (const char *)end, sizeof end);
    }
    if (t->request < 0)
        t->request = memfd_create("request", MFD_CLOEXEC);
    if (t->request < 0 || ftruncate(t->request, 0) < 0 ||
        pwrite(t->request, head->data, head->len, 0) != (ssize_t)head->len ||
        lseek(t->request, 0, SEEK_SET) < 0) {
        drop(t, conn);
        return;
    }
    answer(t, conn, &t->request);
}

/* Takes what has come of a request and keeps its head. */
static void gather(struct transport *t, struct ds_conn *conn, size_t len)
{
    struct ds_frames *frames = &conn->frames;
    size_t at = 0;

    while (at < len && frames->stage < DS_FRAMES_DONE) {
        bool is_head = frames->stage < DS_FRAMES_STDIN;
        size_t used = ds_frames_feed(frames, t->window + at, len - at);

        if (is_head)
            ds_buf_add(&conn->head, (const char *)t->window + at, used);
        else
            ds_conns_progress(&t->conns, conn, used, t->now_ms);
        at += used;
    }
    if (frames->stage == DS_FRAMES_BAD) {
        drop(t, conn);
    } else if (frames->stage == DS_FRAMES_DONE) {
        /* The next request before this one's answer: libfcgi cannot do that. */
        conn->keep = frames->keep && at == len;
        answer_gathered(t, conn);
    }
}

static void read_more(struct transport *t, struct ds_conn *conn)
{
    ssize_t n = recv(conn->fd, t->window, sizeof t->window, 0);

    if (n > 0)
        gather(t, conn, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        drop(t, conn);
}

static void start_reading(struct transport *t, struct ds_conn *conn)
{
    ds_frames_init(&conn->frames);
    ds_conns_move(&t->conns, conn, DS_CONN_READING, t->now_ms);
    watch(t, conn, WATCH_READING);
    if (conn->state == DS_CONN_READING)
        read_more(t, conn);
}

/* The first look at a request. */
static void look(struct transport *t, struct ds_conn *conn)
{
    ssize_t n = recv(conn->fd, t->window, sizeof t->window, MSG_PEEK);
    struct ds_frames frames;
    size_t at = 0;

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop(t, conn);
        else
            watch(t, conn, WATCH_IDLE);
        return;
    }
    ds_frames_init(&frames);
    while (at < (size_t)n && frames.stage < DS_FRAMES_DONE)
        at += ds_frames_feed(&frames, t->window + at, (size_t)n - at);
    if (frames.stage == DS_FRAMES_BAD) {
        drop(t, conn);
    } else if (frames.stage == DS_FRAMES_DONE && at == (size_t)n) {
        conn->keep = frames.keep;
        answer(t, conn, &conn->fd);
    } else {
        start_reading(t, conn);
    }
}

static int listen_to(struct transport *t, int op)
{
    /* Of several workers one is woken. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.ptr = t->listening};

    return epoll_ctl(t->epoll, op, t->listening->fd, &event);
}

/* Accepts one connection; false: none waits, or there is no descriptor for it. */
static bool accept_one(struct transport *t)
{
    int fd = accept4(t->listening->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct ds_conn *conn;

    if (fd < 0) {
        bool is_short =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;

        if (is_short && !ds_conns_evict(&t->conns) && listen_to(t, EPOLL_CTL_DEL) == 0)
            t->accept_at_ms = t->now_ms + ACCEPT_PAUSE_MS;
        return false;
    }
    conn = ds_conns_add(&t->conns, fd);
    if (!conn && ds_conns_evict(&t->conns)) /* not before: another may have taken it */
        conn = ds_conns_add(&t->conns, fd);
    if (conn)
        look(t, conn);
    else
        close(fd);
    return true;
}

/* Nothing new is taken on; what waits in the backlog was connected before. */
static void begin_stop(struct transport *t)
{
    struct ds_conn *next;

    if (is_stopping(t))
        return;
    t->stop_at_ms = t->now_ms + DS_STOP_BUDGET_MS;
    /* Closing it does not: others have the socket, too, and would not be woken for what
       was told to us. */
    ds_ignore(listen_to(t, EPOLL_CTL_DEL) < 0);
    for (int i = 0; i < DS_LISTEN_BACKLOG && accept_one(t); i++)
        ;
    t->accept_at_ms = INT64_MAX;
    ds_listen_close(t->listening);
    for (struct ds_conn *conn = t->conns.first[DS_CONN_IDLE]; conn; conn = next) {
        next = conn->next;
        look(t, conn); /* a request may have come just now */
        /* One that is new and has sent nothing yet is about to. */
        if (conn->state == DS_CONN_IDLE && conn->used)
            drop(t, conn);
    }
}

static void on_signal(struct transport *t)
{
    struct signalfd_siginfo info;

    if (read(t->signals, &info, sizeof info) == (ssize_t)sizeof info)
        begin_stop(t);
}

static void on_conn(struct transport *t, struct ds_conn *conn, uint32_t events)
{
    /* Told once: after the answer to what has come, nothing will come any more. */
    conn->ends = conn->ends || (events & EPOLLRDHUP);
    if (conn->state == DS_CONN_IDLE)
        look(t, conn);
    else if (conn->state == DS_CONN_READING)
        read_more(t, conn);
    else if (conn->state == DS_CONN_SENDING)
        send_more(t, conn);
    /* else it was closed earlier in this round */
}

static int wait_ms(const struct transport *t)
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

static void on_time(struct transport *t)
{
    t->now_ms = ds_clock_mono_tick_ms();
    ds_conns_expire(&t->conns, t->now_ms);
    if (t->now_ms >= t->accept_at_ms && listen_to(t, EPOLL_CTL_ADD) == 0)
        t->accept_at_ms = INT64_MAX;
}

static int loop(struct transport *t, struct ds_error *err)
{
    struct epoll_event events[EVENTS_MAX];

    while (!is_stopping(t) || (t->conns.n && t->now_ms < t->stop_at_ms)) {
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
        if (connects && !is_stopping(t))
            accept_one(t);
    }
    return 0;
}

static int transport_init(struct transport *t, struct ds_error *err)
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
    DS_AUTO(transport) struct transport *t = ds_xcalloc(1, sizeof *t);

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
