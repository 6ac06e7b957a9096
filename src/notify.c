/* SPDX-License-Identifier: Apache-2.0 */
/* see notify.h */
#include "dshard/notify.h"
#include "dshard/num.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_US = 100000 };

void ds_notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    size_t len = path ? strlen(path) : 0;
    DS_AUTO(fd) int fd = -1;

    if (!len || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') /* the abstract namespace */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A supervisor that does not listen is no reason to stop, nor to wait for long. */
    ds_ignore(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0);
    ds_ignore(sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0);
}

int64_t ds_notify_watchdog_ms(void)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid_text = getenv("WATCHDOG_PID");
    struct ds_error err = DS_ERROR_INIT;
    uint64_t usec, pid;

    if (!text || ds_num_parse(text, 2000, UINT64_MAX / 2, &usec, &err) < 0)
        return 0;
    if (pid_text &&
        (ds_num_parse(pid_text, 1, INT32_MAX, &pid, &err) < 0 || (pid_t)pid != getpid()))
        return 0;
    return (int64_t)(usec / 2000);
}
