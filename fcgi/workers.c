/* SPDX-License-Identifier: Apache-2.0 */
/* see workers.h */
#include "workers.h"
#include "dshard/clock.h"
#include "dshard/log.h"
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STABLE_MS = 10000, /* one that lived so long was no failed start */
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 5000,
    KILL_AFTER_MS = DS_STOP_BUDGET_MS + 2000,
};

struct worker {
    pid_t pid; /* 0: not running */
    int64_t started_ms;
    int64_t start_at_ms; /* when to start it again; monotonic */
    int64_t pause_ms;    /* before the next start but one */
};

struct parent {
    struct ds_listen *listening;
    struct worker *workers;
    unsigned n, n_running;
    int signals;
    int64_t now_ms;
    int64_t kill_at_ms; /* INT64_MAX: not stopping */
    int number;         /* of this worker; DS_WORKERS_PARENT: none, the parent */
};

static void ds_auto_parent(struct parent *parent)
{
    free(parent->workers);
    ds_auto_fd(&parent->signals);
}

/* This is the child: out of here. */
static bool is_worker(const struct parent *parent)
{
    return parent->number != DS_WORKERS_PARENT;
}

static bool is_stopping(const struct parent *parent)
{
    return parent->kill_at_ms != INT64_MAX;
}

static void log_worker(enum ds_log_level level, const char *what, pid_t pid,
                       const char *why)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", (long)pid);
    ds_log(level, what, "pid", text, "why", why, NULL);
}

/* What a child is told before it serves. */
static void become_worker(struct parent *parent, const struct worker *worker,
                          pid_t parent_pid)
{
    parent->number = (int)(worker - parent->workers);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent_pid)
        raise(SIGTERM);            /* it died before we asked to be told; stays pending */
    free(parent->listening->path); /* the socket file is the parent's to remove */
    parent->listening->path = NULL;
}

static void start(struct parent *parent, struct worker *worker)
{
    pid_t self = getpid(), pid = fork();

    if (pid == 0) {
        become_worker(parent, worker, self);
        return;
    }
    worker->started_ms = parent->now_ms;
    if (pid < 0) {
        ds_log(DS_LOG_ERROR, "cannot start a worker", "why", strerror(errno), NULL);
        worker->start_at_ms = parent->now_ms + PAUSE_MAX_MS;
        return;
    }
    worker->pid = pid;
    parent->n_running++;
}

static void start_due(struct parent *parent)
{
    for (unsigned i = 0; i < parent->n && !is_stopping(parent); i++) {
        struct worker *worker = &parent->workers[i];

        if (is_worker(parent))
            return;
        if (!worker->pid && worker->start_at_ms <= parent->now_ms)
            start(parent, worker);
    }
}

static void describe_end(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "ended by signal %d", WTERMSIG(status));
    else
        snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

static void on_end(struct parent *parent, struct worker *worker, int status)
{
    char why[64];

    describe_end(status, why, sizeof why);
    if (!is_stopping(parent) || status != 0)
        log_worker(DS_LOG_ERROR, "a worker has died", worker->pid, why);
    worker->pid = 0;
    parent->n_running--;
    if (parent->now_ms - worker->started_ms >= STABLE_MS)
        worker->pause_ms = 0;
    worker->start_at_ms = parent->now_ms + worker->pause_ms;
    worker->pause_ms = worker->pause_ms ? 2 * worker->pause_ms : PAUSE_FIRST_MS;
    if (worker->pause_ms > PAUSE_MAX_MS)
        worker->pause_ms = PAUSE_MAX_MS;
}

static void reap(struct parent *parent)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < parent->n; i++) {
            if (parent->workers[i].pid == pid)
                on_end(parent, &parent->workers[i], status);
        }
    }
}

static void signal_all(const struct parent *parent, int number)
{
    for (unsigned i = 0; i < parent->n; i++) {
        if (parent->workers[i].pid)
            kill(parent->workers[i].pid, number);
    }
}

static void on_signal(struct parent *parent)
{
    struct signalfd_siginfo info;

    while (read(parent->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD || is_stopping(parent))
            continue;
        parent->kill_at_ms = parent->now_ms + KILL_AFTER_MS;
        /* Ours first: with the last copy of the socket goes its backlog, and until then
           the workers take from it. */
        ds_listen_close(parent->listening);
        signal_all(parent, SIGTERM);
    }
}

static int wait_ms(const struct parent *parent)
{
    int64_t until = parent->kill_at_ms;

    for (unsigned i = 0; i < parent->n && !is_stopping(parent); i++) {
        if (!parent->workers[i].pid && parent->workers[i].start_at_ms < until)
            until = parent->workers[i].start_at_ms;
    }
    if (until == INT64_MAX)
        return -1;
    return until > parent->now_ms ? (int)(until - parent->now_ms) : 0;
}

static int loop(struct parent *parent, struct ds_error *err)
{
    struct pollfd signals = {.fd = parent->signals, .events = POLLIN};

    while (!is_worker(parent) && (!is_stopping(parent) || parent->n_running)) {
        if (poll(&signals, 1, wait_ms(parent)) < 0 && errno != EINTR)
            return ds_fail_errno(err, "cannot wait for workers");
        parent->now_ms = ds_clock_mono_ms();
        on_signal(parent);
        reap(parent);
        if (parent->now_ms >= parent->kill_at_ms) {
            signal_all(parent, SIGKILL);
            parent->kill_at_ms = parent->now_ms + KILL_AFTER_MS;
        }
        start_due(parent);
    }
    return 0;
}

int ds_workers_run(struct ds_listen *listening, unsigned n, int *worker,
                   struct ds_error *err)
{
    DS_AUTO(parent)
    struct parent parent = {.listening = listening,
                            .n = n,
                            .signals = -1,
                            .now_ms = ds_clock_mono_ms(),
                            .kill_at_ms = INT64_MAX,
                            .number = DS_WORKERS_PARENT};
    sigset_t set;
    int rc;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    parent.workers = ds_xcalloc(n, sizeof *parent.workers);
    parent.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (parent.signals < 0)
        return ds_fail_errno(err, "cannot make a signalfd");
    start_due(&parent);
    rc = loop(&parent, err);
    *worker = parent.number;
    return rc;
}
