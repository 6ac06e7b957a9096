/* SPDX-License-Identifier: Apache-2.0 */
/* see child.h */
#include "dshard/child.h"
#include "dshard/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUT,
    WORDS,
    CANNOT_RUN = 127,
    LOOK_MS = 10,
    CHUNK = 64 * 1024,
    CHUNKS_MAX = 32,
    LOWEST_FD = 3
};

void ds_child_init(struct ds_child *child, size_t out_max)
{
    *child = (struct ds_child){.fds = {-1, -1}};
    ds_buf_init(&child->out, out_max);
    ds_buf_init(&child->words, DS_CHILD_WORDS_MAX);
}

void ds_child_release(struct ds_child *child)
{
    ds_child_stop(child, 0);
    ds_buf_release(&child->out);
    ds_buf_release(&child->words);
}

/* ---- the start ---- */

/* Not one of the three that the program itself begins with: ours may be closed. */
static int move_up(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, LOWEST_FD);

    if (moved < 0)
        return -1;
    close(*fd);
    *fd = moved;
    return 0;
}

static int open_pipe(int *ours, int *theirs, struct ds_error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return ds_fail_errno(err, "cannot make a pipe");
    *ours = ends[0];
    *theirs = ends[1];
    if (move_up(ours) < 0 || move_up(theirs) < 0 || fcntl(*ours, F_SETFL, O_NONBLOCK) < 0)
        return ds_fail_errno(err, "cannot prepare a pipe");
    return 0;
}

/* In the child.  Other threads may have held any lock at the fork: only what is safe in a
   signal handler may be called here. */
_Noreturn static void become(const char *path, char *const *args, const int *fds,
                             pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
        getppid() != parent || /* it has died before that */
        signal(SIGPIPE, SIG_DFL) == SIG_ERR || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        _exit(CANNOT_RUN);
    for (int fd = 0; fd < LOWEST_FD; fd++) {
        if (dup2(fds[fd], fd) < 0)
            _exit(CANNOT_RUN);
    }
#ifdef SYS_close_range
    ds_ignore(syscall(SYS_close_range, LOWEST_FD, ~0U, 0) < 0); /* what libraries leak */
#endif
    execv(path, args);
    _exit(CANNOT_RUN);
}

int ds_child_start(struct ds_child *child, const char *path, const char *const *args,
                   struct ds_error *err)
{
    DS_AUTO(fd) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    DS_AUTO(fd) int out = -1;
    DS_AUTO(fd) int words = -1;
    DS_AUTO(fd) int their_out = -1;
    DS_AUTO(fd) int their_words = -1;
    pid_t parent = getpid(), pid;

    if (nothing < 0 || move_up(&nothing) < 0)
        return ds_fail_errno(err, "cannot open /dev/null");
    if (open_pipe(&out, &their_out, err) < 0 || open_pipe(&words, &their_words, err) < 0)
        return -1;
    pid = fork();
    if (pid < 0)
        return ds_fail_errno(err, "cannot start %s", path);
    if (pid == 0)
        become(path, (char *const *)(uintptr_t)args,
               (int[]){nothing, their_out, their_words}, parent);
    child->pid = pid;
    child->fds[OUT] = ds_steal_fd(&out);
    child->fds[WORDS] = ds_steal_fd(&words);
    ds_buf_clear(&child->out);
    ds_buf_clear(&child->words);
    child->out.over = child->words.over = false;
    return 0;
}

/* ---- its life ---- */

size_t ds_child_fds(const struct ds_child *child, int fds[DS_CHILD_FDS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < DS_CHILD_FDS_MAX; i++) {
        if (child->fds[i] >= 0)
            fds[n++] = child->fds[i];
    }
    return n;
}

static void close_fd(int *fd)
{
    ds_auto_fd(fd);
    *fd = -1;
}

/* Up to the maximum; then it is `over`. */
static void add_start(struct ds_buf *buf, const char *data, size_t len)
{
    size_t room = buf->max - buf->len;

    ds_buf_add(buf, data, len < room ? len : room);
    if (len > room)
        ds_buf_add(buf, data + room, len - room);
}

/* What is there now: more than a pipe holds, but not for ever. */
static void take(int *fd, struct ds_buf *into)
{
    char chunk[CHUNK];
    ssize_t n;

    for (int i = 0; i < CHUNKS_MAX && *fd >= 0; i++) {
        n = read(*fd, chunk, sizeof chunk);
        if (n > 0)
            add_start(into, chunk, (size_t)n);
        else if (n < 0 && errno == EAGAIN)
            return;
        else if (n == 0 || errno != EINTR)
            close_fd(fd);
    }
}

static bool has_ended(struct ds_child *child)
{
    pid_t pid;

    do
        pid = waitpid(child->pid, &child->status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    return pid != 0;
}

bool ds_child_tend(struct ds_child *child)
{
    bool ended;

    if (!child->pid)
        return false;
    ended = has_ended(child);
    take(&child->fds[OUT], &child->out);
    take(&child->fds[WORDS], &child->words);
    if (child->out.over && !ended)
        ds_child_signal(child, SIGKILL);
    if (!ended)
        return false;
    child->pid = 0;
    close_fd(&child->fds[OUT]); /* its own children may still have it */
    close_fd(&child->fds[WORDS]);
    return true;
}

void ds_child_signal(const struct ds_child *child, int number)
{
    if (child->pid)
        ds_ignore(kill(child->pid, number) < 0); /* then it has just ended */
}

void ds_child_stop(struct ds_child *child, int64_t timeout_ms)
{
    int64_t deadline = ds_clock_mono_ms() + timeout_ms;
    bool killed = timeout_ms <= 0;

    if (!child->pid)
        return;
    ds_child_signal(child, killed ? SIGKILL : SIGTERM);
    while (!ds_child_tend(child)) {
        if (!killed && ds_clock_mono_ms() >= deadline) {
            ds_child_signal(child, SIGKILL);
            killed = true;
        }
        ds_clock_sleep_ms(LOOK_MS);
    }
}

void ds_child_format_end(const struct ds_child *child, char out[DS_CHILD_END_MAX])
{
    if (WIFSIGNALED(child->status))
        snprintf(out, DS_CHILD_END_MAX, "signal %d", WTERMSIG(child->status));
    else
        snprintf(out, DS_CHILD_END_MAX, "exit status %d", WEXITSTATUS(child->status));
}

int ds_child_exit_status(const struct ds_child *child)
{
    return WIFEXITED(child->status) ? WEXITSTATUS(child->status) : -1;
}
