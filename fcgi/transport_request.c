/* SPDX-License-Identifier: Apache-2.0 */
/* What comes and goes on one connection; see transport.h. */
#include "management.h"
#include "transport_impl.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint32_t WATCH_IDLE = EPOLLIN | EPOLLRDHUP | EPOLLET;
static const uint32_t WATCH_READING = EPOLLIN;
static const uint32_t WATCH_SENDING = EPOLLOUT;

static void drop(struct ds_transport *t, struct ds_conn *conn)
{
    ds_conns_drop(&t->conns, conn); /* closing takes it out of epoll */
}

static void watch(struct ds_transport *t, struct ds_conn *conn, uint32_t events)
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

static void rest(struct ds_transport *t, struct ds_conn *conn)
{
    if (ds_transport_is_stopping(t) && conn->used) {
        drop(t, conn);
        return;
    }
    ds_buf_release(&conn->head);
    ds_conns_move(&t->conns, conn, DS_CONN_IDLE, t->now_ms);
    watch(t, conn, WATCH_IDLE);
}

static void become_idle(struct ds_transport *t, struct ds_conn *conn)
{
    if (conn->keep && !conn->ends)
        rest(t, conn);
    else
        drop(t, conn);
}

void ds_transport_send_more(struct ds_transport *t, struct ds_conn *conn)
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
static void answer(struct ds_transport *t, struct ds_conn *conn, int *in)
{
    conn->used = true;
    conn->n_asked = 0;
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
    ds_transport_send_more(t, conn);
}

/* The request has come in parts and its body is dropped: libfcgi reads what is left of it
   from a memory file. */
static void answer_gathered(struct ds_transport *t, struct ds_conn *conn)
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

/* Answers a management record.  False: the connection was dropped, because the record is
   none, or there are too many, or nobody reads the answers. */
static bool tell(struct ds_transport *t, struct ds_conn *conn, const void *record,
                 size_t len)
{
    unsigned char out[DS_MANAGEMENT_ANSWER_MAX];
    size_t n = ds_management_answer(record, len, t->conns.max, out);

    if (n && conn->n_asked++ < DS_CONN_ASKED_MAX &&
        send(conn->fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n)
        return true;
    drop(t, conn);
    return false;
}

/* The same for one that has been gathered; what follows it begins anew. */
static bool tell_gathered(struct ds_transport *t, struct ds_conn *conn)
{
    if (!tell(t, conn, conn->head.data, conn->head.len))
        return false;
    ds_buf_clear(&conn->head);
    ds_frames_init(&conn->frames);
    return true;
}

/* Takes what has come of a request and keeps its head. */
static void gather(struct ds_transport *t, struct ds_conn *conn, size_t len)
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
        if (frames->stage == DS_FRAMES_ASKED && !tell_gathered(t, conn))
            return;
    }
    if (frames->stage == DS_FRAMES_BAD) {
        drop(t, conn);
    } else if (!conn->head.len) {
        rest(t, conn); /* the last that came was a management record */
    } else if (frames->stage == DS_FRAMES_DONE) {
        /* The next request before this one's answer: libfcgi cannot do that. */
        conn->keep = frames->keep && at == len;
        answer_gathered(t, conn);
    }
}

void ds_transport_read_more(struct ds_transport *t, struct ds_conn *conn)
{
    ssize_t n = recv(conn->fd, t->window, sizeof t->window, 0);

    if (n > 0)
        gather(t, conn, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        drop(t, conn);
}

static void start_reading(struct ds_transport *t, struct ds_conn *conn)
{
    ds_frames_init(&conn->frames);
    ds_conns_move(&t->conns, conn, DS_CONN_READING, t->now_ms);
    watch(t, conn, WATCH_READING);
    if (conn->state == DS_CONN_READING)
        ds_transport_read_more(t, conn);
}

/* Takes a management record of len bytes, at which it has only looked. */
static bool take_management(struct ds_transport *t, struct ds_conn *conn, size_t len)
{
    if (recv(conn->fd, t->window, len, 0) == (ssize_t)len)
        return tell(t, conn, t->window, len);
    drop(t, conn);
    return false;
}

/* The first look at a request.  True: it was something else, and that is done. */
static bool look_once(struct ds_transport *t, struct ds_conn *conn)
{
    ssize_t n = recv(conn->fd, t->window, sizeof t->window, MSG_PEEK);
    struct ds_frames frames;
    size_t at = 0;

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop(t, conn);
        else
            watch(t, conn, WATCH_IDLE);
        return false;
    }
    ds_frames_init(&frames);
    while (at < (size_t)n && frames.stage < DS_FRAMES_DONE)
        at += ds_frames_feed(&frames, t->window + at, (size_t)n - at);
    if (frames.stage == DS_FRAMES_ASKED)
        return take_management(t, conn, at);
    if (frames.stage == DS_FRAMES_BAD) {
        drop(t, conn);
    } else if (frames.stage == DS_FRAMES_DONE && at == (size_t)n) {
        conn->keep = frames.keep;
        answer(t, conn, &conn->fd);
    } else {
        start_reading(t, conn);
    }
    return false;
}

void ds_transport_look(struct ds_transport *t, struct ds_conn *conn)
{
    while (look_once(t, conn))
        ;
}
