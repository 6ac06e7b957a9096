/* SPDX-License-Identifier: Apache-2.0 */
/* see conns.h */
#include "conns.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SPARE_FDS = 32, /* for everything that is no connection */
    CONNS_MIN = 8,
    CONNS_MAX = 16384,
};

size_t ds_conns_limit(void)
{
    struct rlimit limit;
    size_t max = CONNS_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < CONNS_MAX + SPARE_FDS)
        max = limit.rlim_cur > SPARE_FDS ? limit.rlim_cur - SPARE_FDS : 0;
    return max < CONNS_MIN ? CONNS_MIN : max;
}

void ds_conns_init(struct ds_conns *conns, size_t max)
{
    memset(conns, 0, sizeof *conns);
    conns->max = max;
    conns->expire_at_ms = INT64_MAX;
}

static void take_out(struct ds_conns *conns, struct ds_conn *conn)
{
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        conns->first[conn->state] = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    else
        conns->last[conn->state] = conn->prev;
}

static void append(struct ds_conns *conns, struct ds_conn *conn, enum ds_conn_state state)
{
    conn->state = state;
    conn->next = NULL;
    conn->prev = conns->last[state];
    if (conn->prev)
        conn->prev->next = conn;
    else
        conns->first[state] = conn;
    conns->last[state] = conn;
}

void ds_conns_move(struct ds_conns *conns, struct ds_conn *conn, enum ds_conn_state state,
                   int64_t now_ms)
{
    bool is_busy = state == DS_CONN_READING || state == DS_CONN_SENDING;

    if (state != conn->state || conn->next) {
        take_out(conns, conn);
        append(conns, conn, state);
    }
    conn->progress = 0;
    conn->turn = ++conns->turn;
    conn->deadline_ms = is_busy ? now_ms + DS_CONN_PATIENCE_MS : INT64_MAX;
    if (conn->deadline_ms < conns->expire_at_ms)
        conns->expire_at_ms = conn->deadline_ms;
}

void ds_conns_progress(struct ds_conns *conns, struct ds_conn *conn, size_t len,
                       int64_t now_ms)
{
    conn->progress += len;
    if (conn->progress >= DS_CONN_PROGRESS_MIN)
        ds_conns_move(conns, conn, conn->state, now_ms);
}

struct ds_conn *ds_conns_add(struct ds_conns *conns, int fd)
{
    struct ds_conn *conn = conns->first[DS_CONN_FREE];

    if (conns->n >= conns->max)
        return NULL;
    if (!conn) {
        conn = ds_xcalloc(1, sizeof *conn);
        ds_buf_init(&conn->head, DS_FRAMES_HEAD_MAX + DS_FRAMES_RECORD_HEADER);
        append(conns, conn, DS_CONN_FREE);
    }
    conn->fd = fd;
    conn->answer = -1;
    conn->events = 0;
    conn->used = conn->keep = conn->ends = false;
    conn->n_asked = 0;
    ds_conns_move(conns, conn, DS_CONN_IDLE, 0);
    conns->n++;
    return conn;
}

void ds_conns_drop(struct ds_conns *conns, struct ds_conn *conn)
{
    if (conn->state == DS_CONN_FREE)
        return;
    ds_auto_fd(&conn->fd);
    ds_auto_fd(&conn->answer);
    conn->fd = conn->answer = -1;
    ds_buf_release(&conn->head);
    ds_conns_move(conns, conn, DS_CONN_FREE, 0);
    conns->n--;
}

struct ds_conn *ds_conns_oldest(const struct ds_conns *conns)
{
    struct ds_conn *oldest = NULL;

    for (int state = DS_CONN_IDLE; state < DS_N_CONN_STATES; state++) {
        struct ds_conn *conn = conns->first[state];

        if (conn && (!oldest || conn->turn < oldest->turn))
            oldest = conn;
    }
    return oldest;
}

static size_t expire_list(struct ds_conns *conns, enum ds_conn_state state,
                          int64_t now_ms)
{
    size_t n = 0;

    for (struct ds_conn *conn = conns->first[state], *next; conn; conn = next) {
        next = conn->next;
        if (conn->deadline_ms <= now_ms) {
            ds_conns_drop(conns, conn);
            n++;
        } else if (conn->deadline_ms < conns->expire_at_ms) {
            conns->expire_at_ms = conn->deadline_ms;
        }
    }
    return n;
}

size_t ds_conns_expire(struct ds_conns *conns, int64_t now_ms)
{
    size_t n;

    if (now_ms < conns->expire_at_ms)
        return 0;
    conns->expire_at_ms = INT64_MAX;
    n = expire_list(conns, DS_CONN_READING, now_ms);
    return n + expire_list(conns, DS_CONN_SENDING, now_ms);
}

void ds_conns_release(struct ds_conns *conns)
{
    for (int state = DS_CONN_IDLE; state < DS_N_CONN_STATES; state++) {
        while (conns->first[state])
            ds_conns_drop(conns, conns->first[state]);
    }
    while (conns->first[DS_CONN_FREE]) {
        struct ds_conn *conn = conns->first[DS_CONN_FREE];

        take_out(conns, conn);
        free(conn);
    }
}
