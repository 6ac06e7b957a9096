/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constant.c - what libfcgi itself costs: the handler's loop without the handler.  Every
 * request gets the same 307.  `constant SOCKET` listens there until it is killed.
 *
 * libfcgi is driven as the handler drives it, by epoll with a request a connection, and
 * without anything that makes that safe: a peer that sends half a request stops it.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, BACKLOG = 511 };

static const char ANSWER[] =
    "Status: 307 Temporary Redirect\r\n"
    "Location: http://10.0.0.1:9091/metrics/job/batch_1/instance/host-0001\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 66\r\nX-Dshard-Generation: 1\r\n\r\n"
    "this group belongs to 10.0.0.1:9091: follow redirects (curl -L) \r\n";

static int listen_at(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof name.sun_path)
        return -1;
    memcpy(name.sun_path, path, strlen(path));
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return fd;
}

static void add_connection(int epoll, int listening)
{
    FCGX_Request *request = calloc(1, sizeof *request);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = request};
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0 || !request || FCGX_InitRequest(request, -1, 0) != 0) {
        perror("constant: accept");
        exit(1);
    }
    request->ipcFd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void answer(FCGX_Request *request)
{
    char body[4096];

    request->keepConnection = 1; /* or FCGX_Accept_r would close it first */
    if (FCGX_Accept_r(request) != 0) {
        free(request); /* the peer has closed it */
        return;
    }
    while (FCGX_GetStr(body, sizeof body, request->in) > 0)
        ;
    FCGX_PutStr(ANSWER, (int)sizeof ANSWER - 1, request->out);
    FCGX_Finish_r(request);
    if (request->ipcFd < 0)
        free(request);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listening = argc == 2 ? listen_at(argv[1]) : -1;

    if (listening < 0 || epoll < 0 || FCGX_Init() != 0) {
        perror("usage: constant SOCKET");
        return 1;
    }
    signal(SIGTERM, SIG_DFL); /* libfcgi has taken it */
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                answer(events[i].data.ptr);
            else
                add_connection(epoll, listening);
        }
    }
}
