/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paced.c - how long a handler lets single pushes wait.
 *
 *     paced SOCKET REQUESTS INTERVAL_US
 *
 * Asks over one kept FastCGI connection, once in each interval, and not sooner: nothing
 * queues, so what is seen is the handler's own delay and what the scheduler adds to it.
 * Prints one JSON object; times are in microseconds, from sending to the whole answer.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 65536, HEADER = 8, END_REQUEST = 3, NS_PER_US = 1000 };

/* One push, in one piece: the beginning (kept), two parameters, no body. */
static const char REQUEST[] = "\1\1\0\1\0\10\0\0"
                              "\0\1\1\0\0\0\0\0"
                              "\1\4\0\1\0\64\0\0"
                              "\16\3REQUEST_METHODPUT"
                              "\13\24REQUEST_URI/metrics/job/batch_1"
                              "\1\4\0\1\0\0\0\0"
                              "\1\5\0\1\0\0\0\0";

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void wait_until(int64_t at_ns)
{
    struct timespec at = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof name.sun_path)
        return -1;
    memcpy(name.sun_path, path, strlen(path));
    return connect(fd, (struct sockaddr *)&name, sizeof name) < 0 ? -1 : fd;
}

/* Whether these records are a whole answer. */
static bool is_whole(const unsigned char *answer, size_t len)
{
    for (size_t at = 0; at + HEADER <= len;) {
        size_t content = (size_t)answer[at + 4] << 8 | answer[at + 5];
        size_t end = at + HEADER + content + answer[at + 6];

        if (answer[at + 1] == END_REQUEST)
            return end == len;
        at = end;
    }
    return false;
}

/* Asks once; false: no answer that redirects. */
static bool ask(int fd)
{
    static unsigned char answer[ANSWER_MAX];
    static const char wanted[] = "\nStatus: 307 ";
    size_t len = 0;

    if (send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) != sizeof REQUEST - 1)
        return false;
    while (!is_whole(answer, len)) {
        ssize_t n = recv(fd, answer + len, sizeof answer - len, 0);

        if (n <= 0)
            return false;
        len += (size_t)n;
    }
    return memmem(answer, len, wanted, sizeof wanted - 1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(int64_t *took_ns, size_t n, size_t errors)
{
    qsort(took_ns, n, sizeof *took_ns, compare);
    printf("{\"requests\": %zu, \"errors\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f, \"max_us\": %.1f}\n",
           n, errors, (double)took_ns[n / 2] / NS_PER_US,
           (double)took_ns[n * 99 / 100] / NS_PER_US,
           (double)took_ns[n * 999 / 1000] / NS_PER_US,
           (double)took_ns[n - 1] / NS_PER_US);
}

int main(int argc, char **argv)
{
    size_t n = argc == 4 ? strtoul(argv[2], NULL, 10) : 0, errors = 0;
    int64_t interval_ns = argc == 4 ? strtol(argv[3], NULL, 10) * NS_PER_US : 0;
    int64_t *took_ns = n ? calloc(n, sizeof *took_ns) : NULL, next_ns = now_ns();
    int fd = argc == 4 ? connect_to(argv[1]) : -1;

    if (fd < 0 || !took_ns || interval_ns <= 0) {
        perror("usage: paced SOCKET REQUESTS INTERVAL_US");
        return 2;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t began_ns;

        wait_until(next_ns);
        began_ns = now_ns();
        errors += !ask(fd);
        took_ns[i] = now_ns() - began_ns;
        next_ns = began_ns + interval_ns;
    }
    print(took_ns, n, errors);
    free(took_ns);
    close(fd);
    return 0;
}
