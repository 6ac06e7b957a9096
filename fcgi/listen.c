/* SPDX-License-Identifier: Apache-2.0 */
/* see listen.h */
#include "listen.h"
#include "dshard/clock.h"
#include "dshard/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOCK_TIMEOUT_MS = 5000 };

/* So long the workers of a parent that was killed may need to see that. */
enum { ORPHANS_MS = 1000, LOOK_MS = 20 };

static void ds_auto_addrinfo(struct addrinfo **list)
{
    if (*list)
        freeaddrinfo(*list);
}

static int fill_address(struct sockaddr_un *address, const char *path,
                        struct ds_error *err)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!len || len >= sizeof address->sun_path)
        return ds_fail(err, DS_E_USAGE,
                       "the path of a socket has 1 to %zu bytes, and '%s' has %zu",
                       sizeof address->sun_path - 1, path, len);
    memcpy(address->sun_path, path, len + 1);
    return 0;
}

/* 1: somebody listens there; 0: nobody does; -1: that cannot be told. */
static int has_listener(const struct sockaddr_un *address, struct ds_error *err)
{
    DS_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return ds_fail_errno(err, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
        errno == EAGAIN) /* its backlog is full */
        return 1;
    if (errno == ECONNREFUSED || errno == ENOENT)
        return 0;
    return ds_fail_errno(err, "cannot tell whether somebody listens on '%s'",
                         address->sun_path);
}

/* Makes room for our socket: removes one that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct ds_error *err)
{
    const char *path = address->sun_path;
    int64_t deadline_ms = ds_clock_mono_ms() + ORPHANS_MS;
    struct stat st;
    int listens;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : ds_fail_errno(err, "cannot look at '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return ds_fail(err, DS_E_FAILED, "'%s' is there and is no socket", path);
    while ((listens = has_listener(address, err)) > 0 && ds_clock_mono_ms() < deadline_ms)
        ds_clock_sleep_ms(LOOK_MS);
    if (listens < 0)
        return -1;
    if (listens)
        return ds_fail(err, DS_E_FAILED, "somebody listens on '%s' already", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return ds_fail_errno(err, "cannot remove the left-over '%s'", path);
    return 0;
}

/* The mode comes from the umask, so that there is no moment with a wider one. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, unsigned mode)
{
    mode_t before = umask((mode_t)(0777 & ~mode));
    int rc = bind(fd, (const struct sockaddr *)address, sizeof *address);

    umask(before);
    return rc;
}

static int open_unix(struct ds_listen *listening, const char *path, unsigned mode,
                     struct ds_error *err)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    DS_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    if (fd < 0)
        return ds_fail_errno(err, "cannot make a socket");
    if (fill_address(&address, path, err) < 0)
        return -1;
    /* Of two that start at once, the second must not take the first one's for stale. */
    if (ds_file_lock_dir(&lock, path, LOCK_TIMEOUT_MS, err) < 0 ||
        remove_stale(&address, err) < 0)
        return -1;
    if (bind_with_mode(fd, &address, mode) < 0 || listen(fd, DS_LISTEN_BACKLOG) < 0 ||
        ds_file_id_of_path(path, &listening->id) < 0)
        return ds_fail_errno(err, "cannot listen on '%s'", path);
    listening->fd = ds_steal_fd(&fd);
    listening->path = ds_xstrdup(path);
    return 0;
}

static int open_tcp_at(struct ds_listen *listening, const struct addrinfo *at,
                       const char *where, struct ds_error *err)
{
    static const int on = 1;
    DS_AUTO(fd)
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return ds_fail_errno(err, "cannot make a socket for '%s'", where);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || /* inherited */
        bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, DS_LISTEN_BACKLOG) < 0)
        return ds_fail_errno(err, "cannot listen on '%s'", where);
    listening->fd = ds_steal_fd(&fd);
    return 0;
}

static int open_tcp(struct ds_listen *listening, const char *where, struct ds_error *err)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                          .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    DS_AUTO(addrinfo) struct addrinfo *list = NULL;
    char address[DS_ADDRESS_MAX], *port, *host = address;
    int rc;

    if (ds_address_parse(address, where, 0, err) < 0) {
        err->code = DS_E_USAGE;
        return ds_wrap(err, "--listen wants unix:PATH or HOST:PORT");
    }
    port = strrchr(address, ':'); /* the canonical form always has one */
    *port++ = '\0';
    if (*host == '[') {
        host[strlen(host) - 1] = '\0';
        host++;
    }
    rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return ds_fail(err, DS_E_SYSTEM, "cannot resolve '%s': %s", where,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return open_tcp_at(listening, list, where, err);
}

int ds_listen_open(struct ds_listen *listening, const char *where, unsigned mode,
                   struct ds_error *err)
{
    if (strncmp(where, "unix:", 5) == 0)
        return open_unix(listening, where + 5, mode, err);
    return open_tcp(listening, where, err);
}

bool ds_listen_can_adopt(int fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

int ds_listen_adopt(struct ds_listen *listening, int fd, struct ds_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (!ds_listen_can_adopt(fd))
        return ds_fail(err, DS_E_USAGE, "descriptor %d is no listening socket", fd);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return ds_fail_errno(err, "cannot use descriptor %d", fd);
    listening->fd = fd;
    return 0;
}

void ds_listen_close(struct ds_listen *listening)
{
    struct ds_file_id now;

    if (listening->path && ds_file_id_of_path(listening->path, &now) == 0 &&
        now.dev == listening->id.dev && now.ino == listening->id.ino)
        unlink(listening->path);
    free(listening->path);
    listening->path = NULL;
    ds_auto_fd(&listening->fd);
    listening->fd = -1;
}

void ds_auto_listen(struct ds_listen *listening)
{
    ds_listen_close(listening);
}
