/* SPDX-License-Identifier: Apache-2.0 */
/* see watch.h; what is done between two waits is in follower.c and tender.c */
#include "dshard/watch.h"
#include "dshard/clock.h"
#include "dshard/follower.h"
#include "dshard/log.h"
#include "dshard/notify.h"
#include "dshard/tender.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    LONGEST_WAIT_MS = 5000,
    ONCE_MS = 8000,
    STUCK_MS = 2000,
    FDS_WANTED = 8192,
    STATUS_MAX = 400,
};

struct watch {
    const struct ds_watch_options *options;
    struct ds_config *config;
    struct ds_follower follower;
    struct ds_tender *tender;
    int signals, changes; /* descriptors: signalfd, inotify on the directory */
    int64_t watchdog_ms, watchdog_due_ms;
    bool stop, ready;
    size_t told_members, told_servers; /* of the last STATUS */
};

static int open_signals(struct ds_error *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD); /* ends the wait; the tender looks for itself */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return ds_fail_errno(err, "cannot watch for signals");
    return fd;
}

static int open_changes(const char *path, struct ds_error *err)
{
    DS_AUTO(str) char *dir = ds_file_dir(path);
    DS_AUTO(fd) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0 ||
        inotify_add_watch(fd, dir,
                          IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE) < 0)
        return ds_fail_errno(err, "cannot watch the directory '%s'", dir);
    return ds_steal_fd(&fd);
}

/* ---- what may come in ---- */

static void log_lines(const struct ds_buf *lines)
{
    for (const char *p = lines->data; *p;) {
        size_t len = strcspn(p, "\n");
        DS_AUTO(str) char *line = ds_xstrndup(p, len);

        ds_log(DS_LOG_ERROR, "configuration", "error", line, NULL);
        p += len + (p[len] == '\n');
    }
}

static int load_again(struct watch *watch, struct ds_config *config, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);

    if (ds_config_load(config, watch->options->config_path, &complaints, err) < 0) {
        log_lines(&complaints);
        return -1;
    }
    if (strcmp(config->state_file, watch->config->state_file) != 0)
        return ds_fail(err, DS_E_CONFIG, "another state_file takes a restart");
    if (config->consul != watch->config->consul)
        return ds_fail(err, DS_E_CONFIG, "consul_server coming or going takes a restart");
    return ds_follower_configure(&watch->follower, config, err);
}

/* Taking a server out of the file does not take it out of the ring: that is deregister's.
 */
static void warn_of_unlisted(const struct watch *watch)
{
    const struct ds_state *state = &watch->follower.keeper.state;

    for (size_t i = 0; i < state->n_servers && !watch->config->consul; i++) {
        const char *address = state->servers[i].server.address;

        if (state->servers[i].intent == DS_INTENT_OUT ||
            ds_config_lists(watch->config, address))
            continue;
        ds_log(DS_LOG_WARN, "server not configured any more, and still registered",
               "server", address, "remedy", "dshard deregister", NULL);
    }
}

static void reload(struct watch *watch)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_config config;

    if (!watch->options->config_path)
        return;
    ds_config_init(&config);
    if (load_again(watch, &config, &err) < 0) {
        ds_log(DS_LOG_ERROR, "configuration not reloaded, the old one stays", "why",
               err.text, NULL);
        ds_config_release(&config);
        return;
    }
    ds_config_release(watch->config);
    *watch->config = config; /* the follower borrows it by its old address: */
    watch->follower.config = watch->config;
    ds_follower_rejoin(&watch->follower);
    if (ds_tender_configure(watch->tender, &err) < 0) /* the feed took it just now */
        ds_log(DS_LOG_ERROR, "groups tended by the old configuration", "why", err.text,
               NULL);
    warn_of_unlisted(watch);
    ds_log(DS_LOG_INFO, "configuration reloaded", "file", watch->options->config_path,
           NULL);
}

static void take_signals(struct watch *watch)
{
    struct signalfd_siginfo info;

    while (read(watch->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            reload(watch);
        else if (info.ssi_signo != SIGCHLD)
            watch->stop = true;
    }
}

/* Which file it was does not matter: the keeper looks for itself. */
static void take_changes(struct watch *watch)
{
    char events[4096];
    struct ds_error ignored =
        DS_ERROR_INIT; /* the next write meets it again, and says it */

    while (read(watch->changes, events, sizeof events) > 0)
        ;
    if (ds_keeper_is_behind(&watch->follower.keeper))
        ds_ignore(ds_follower_sync(&watch->follower, &ignored) < 0);
}

/* ---- words to the supervisor ---- */

static void tell_supervisor(struct watch *watch)
{
    const struct ds_state *state = &watch->follower.keeper.state;
    int64_t now_ms = ds_clock_mono_ms();
    char text[STATUS_MAX];
    size_t n = 0;

    if (watch->watchdog_ms && now_ms >= watch->watchdog_due_ms) {
        ds_notify("WATCHDOG=1");
        watch->watchdog_due_ms = now_ms + watch->watchdog_ms;
    }
    if (!watch->follower.published)
        return;
    for (size_t i = 0; i < state->n_servers; i++)
        n += state->servers[i].member;
    if (watch->ready && n == watch->told_members &&
        state->n_servers == watch->told_servers)
        return;
    snprintf(text, sizeof text, "%sSTATUS=%zu of %zu servers are members",
             watch->ready ? "" : "READY=1\n", n, state->n_servers);
    ds_notify(text);
    watch->ready = true;
    watch->told_members = n;
    watch->told_servers = state->n_servers;
}

static int64_t wait_ms(const struct watch *watch)
{
    int64_t next = ds_follower_next_ms(&watch->follower);
    int64_t now_ms = ds_clock_mono_ms();

    if (watch->tender && ds_tender_next_ms(watch->tender) < next)
        next = ds_tender_next_ms(watch->tender);
    if (watch->watchdog_ms && watch->watchdog_due_ms < next)
        next = watch->watchdog_due_ms;
    if (next <= now_ms)
        return 0;
    return next - now_ms < LONGEST_WAIT_MS ? next - now_ms : LONGEST_WAIT_MS;
}

/* ---- the two ways to run ---- */

static int start(struct watch *watch, struct ds_http_loop *loop, struct ds_error *err)
{
    struct ds_follower *follower = &watch->follower;

    if (ds_follower_init(follower, watch->config, loop, err) < 0 ||
        ds_keeper_claim(&follower->keeper, watch->options->claim_timeout_ms, err) < 0 ||
        ds_keeper_load(&follower->keeper, true, err) < 0)
        return -1;
    return ds_follower_begin(follower, err);
}

static void turn(struct watch *watch, struct ds_http_loop *loop)
{
    int fds[2 + DS_CHILD_FDS_MAX] = {watch->signals, watch->changes};
    size_t n;

    ds_follower_step(&watch->follower);
    if (ds_follower_wants_write(&watch->follower))
        ds_ignore(ds_follower_write(&watch->follower)); /* logs and retries by itself */
    ds_tender_step(watch->tender);
    tell_supervisor(watch);
    n = 2 + ds_tender_fds(watch->tender, fds + 2);
    ds_http_loop_run(loop, fds, n, wait_ms(watch));
    take_signals(watch);
    take_changes(watch);
}

static int loop_until_stopped(struct watch *watch, struct ds_http_loop *loop,
                              struct ds_error *err)
{
    DS_AUTO(fd) int signals = open_signals(err);
    DS_AUTO(fd) int changes = -1;

    if (signals < 0 || (changes = open_changes(watch->config->state_file, err)) < 0)
        return -1;
    watch->tender = ds_tender_new(&watch->follower, watch->options->config_path, err);
    if (!watch->tender)
        return -1;
    watch->signals = signals;
    watch->changes = changes;
    watch->watchdog_ms = ds_notify_watchdog_ms();
    ds_log(DS_LOG_INFO, "watch started", "state", watch->config->state_file, NULL);
    while (!watch->stop)
        turn(watch, loop);
    ds_notify("STOPPING=1");
    ds_tender_free(watch->tender);
    ds_log(DS_LOG_INFO, "watch stopped", NULL);
    return 0;
}

static int write_once(struct ds_follower *follower, struct ds_error *err)
{
    if (ds_follower_write(follower) == 0)
        return 0;
    *err = follower->write_error;
    return -1;
}

/* What was seen of our own checks, and when it changed. */
struct progress {
    uint64_t seq;
    int64_t since_ms;
};

/* Whether no check has ended for longer than one may take, and be waited for. */
static bool is_stuck(struct progress *progress, const struct watch *watch,
                     const struct ds_fleet *fleet)
{
    int64_t now_ms = ds_clock_mono_ms();
    uint64_t seq = 0;

    for (size_t i = 0; i < fleet->n; i++)
        seq = fleet->items[i].seq > seq ? fleet->items[i].seq : seq;
    if (seq != progress->seq || !progress->since_ms)
        *progress = (struct progress){.seq = seq, .since_ms = now_ms};
    return now_ms - progress->since_ms > watch->config->health_check.interval_ms +
                                             watch->config->health_check.timeout_ms +
                                             STUCK_MS;
}

static int step_until_settled(struct watch *watch, struct ds_http_loop *loop,
                              struct ds_error *err)
{
    struct ds_follower *follower = &watch->follower;
    const struct ds_fleet *fleet;
    int64_t deadline = ds_clock_mono_ms() + ONCE_MS;
    struct progress progress = {0};
    int64_t wait;

    for (;;) {
        ds_follower_step(follower);
        if (ds_follower_is_settled(follower))
            return 0;
        fleet = follower->feed->ops->view(follower->feed);
        if (fleet->discovers && !fleet->fresh && fleet->error[0])
            return ds_fail(err, DS_E_TEMP, "%s", fleet->error);
        /* What is open by then (a check that Consul has not run yet) stays as it is. */
        if (fleet->discovers && ds_clock_mono_ms() >= deadline)
            return 0;
        if (!fleet->discovers && is_stuck(&progress, watch, fleet))
            return ds_fail(err, DS_E_TEMP,
                           "no server could be checked: this machine has no file "
                           "descriptor or thread left for that (see ulimit -n, "
                           "ulimit -u)");
        wait = wait_ms(watch);
        ds_http_loop_run(loop, NULL, 0, wait < STUCK_MS ? wait : STUCK_MS);
    }
}

static int loop_until_settled(struct watch *watch, struct ds_http_loop *loop,
                              struct ds_error *err)
{
    struct ds_follower *follower = &watch->follower;

    if (step_until_settled(watch, loop, err) < 0 || write_once(follower, err) < 0)
        return -1;
    if (!follower->accord)
        return 0;
    /* As the decider it has something to publish now. */
    if (step_until_settled(watch, loop, err) < 0)
        return -1;
    return follower->dirty ? write_once(follower, err) : 0;
}

/* A check takes a descriptor or three (a resolver's too): a thousand at once pass the
   usual soft limit. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max < FDS_WANTED ? limit.rlim_max : FDS_WANTED;
    ds_ignore(setrlimit(RLIMIT_NOFILE, &limit) < 0); /* then as it was */
}

static int run(struct ds_config *config, const struct ds_watch_options *options,
               int (*body)(struct watch *, struct ds_http_loop *, struct ds_error *),
               struct ds_error *err)
{
    struct watch watch = {.options = options, .config = config};
    struct ds_http_loop *loop = ds_http_loop_new();
    int rc;

    raise_limit();
    rc = start(&watch, loop, err);

    if (rc == 0)
        rc = body(&watch, loop, err);
    ds_follower_release(&watch.follower);
    ds_http_loop_free(loop);
    return rc;
}

int ds_watch_run(struct ds_config *config, const struct ds_watch_options *options,
                 struct ds_error *err)
{
    return run(config, options, loop_until_stopped, err);
}

int ds_watch_once(struct ds_config *config, const struct ds_watch_options *options,
                  struct ds_error *err)
{
    return run(config, options, loop_until_settled, err);
}
