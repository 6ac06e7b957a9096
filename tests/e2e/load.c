/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - clients that ask as fast as they are answered, and check every answer.
 *
 *     load http|fcgi HOST:PORT|unix:PATH CONNECTIONS REQUESTS TABLE BODY
 *
 * Each connection asks one thing after another and is kept for as long as the other side
 * keeps it.  It ends after REQUESTS answers, or when stdin does.  TABLE has a line for
 * each question: METHOD TARGET STATUS LOCATION LOCATION, the location being right while
 * the generation in the answer is even, or odd; "-" for none.  BODY is the length of what
 * a PUT or POST brings.  Prints one JSON object.
 */
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 512 * 1024,
    REQUEST_MAX = 64 * 1024,
    QUESTIONS_MAX = 4096,
    CONNS_MAX = 4096,
    EVENTS_MAX = 256,
    FIELD_MAX = 4096,
    PATIENCE_S = 15, /* an answer that takes longer has failed */
};

/* How an answer may be wrong. */
enum kind { CONNECT, CLOSED, LATE, MALFORMED, STATUS, NO_OWNER, OTHER_OWNER, N_KINDS };
static const char *const kinds[N_KINDS] = {
    "connect", "closed", "late", "malformed", "status", "no_owner", "other_owner"};

struct question {
    char *request;
    size_t len;
    char target[FIELD_MAX], location[2][FIELD_MAX];
    unsigned status;
};

struct conn {
    int fd; /* -1: none */
    const struct question *question;
    int64_t asked_ns;
    size_t got;
    char *answer;
};

struct load {
    bool is_fcgi;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } address;
    socklen_t address_len;
    struct question *questions;
    size_t n_questions, next;
    struct conn *conns;
    unsigned n_conns, n_asking;
    int epoll;
    bool ending;
    uint64_t n_wanted, n_asked, n_answers, n_failures, n_connects, by_kind[N_KINDS];
    uint64_t by_ring[2], newest;
    uint32_t *took_us;
    char first[1024]; /* failure */
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- questions ----------------------------------------------------------------------
 */

static size_t put_record(char *out, int type, const void *content, size_t len)
{
    const char header[8] = {1, (char)type, 0, 1, (char)(len >> 8), (char)len, 0, 0};

    memcpy(out, header, sizeof header);
    memcpy(out + sizeof header, content, len);
    return sizeof header + len;
}

static size_t put_length(char *out, size_t len)
{
    const char four[4] = {(char)(len >> 24 | 0x80), (char)(len >> 16), (char)(len >> 8),
                          (char)len};

    if (len < 128) {
        *out = (char)len;
        return 1;
    }
    memcpy(out, four, sizeof four);
    return sizeof four;
}

static size_t put_pair(char *out, const char *name, const char *value)
{
    size_t at = put_length(out, strlen(name));

    at += put_length(out + at, strlen(value));
    memcpy(out + at, name, strlen(name));
    at += strlen(name);
    memcpy(out + at, value, strlen(value));
    return at + strlen(value);
}

static size_t put_fcgi(char *out, const char *method, const char *target, size_t body_len)
{
    static const char begin[8] = {0, 1, 1}; /* a responder, to be kept */
    static const char body[REQUEST_MAX];
    char params[2 * FIELD_MAX];
    size_t len = put_pair(params, "REQUEST_METHOD", method), at;

    len += put_pair(params + len, "REQUEST_URI", target);
    at = put_record(out, 1, begin, sizeof begin);
    at += put_record(out + at, 4, params, len);
    at += put_record(out + at, 4, "", 0);
    if (body_len)
        at += put_record(out + at, 5, body, body_len);
    return at + put_record(out + at, 5, "", 0);
}

static size_t put_http(char *out, const char *method, const char *target, size_t body_len)
{
    int n = snprintf(out, REQUEST_MAX,
                     "%s %s HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n",
                     method, target, body_len);

    memset(out + n, '\n', body_len);
    if (body_len > 4)
        memcpy(out + n, "m 1", 3);
    return (size_t)n + body_len;
}

static void add_question(struct load *load, const char *line, size_t body_len)
{
    struct question *q = &load->questions[load->n_questions++];
    char method[16], request[REQUEST_MAX];

    if (load->n_questions > QUESTIONS_MAX ||
        sscanf(line, "%15s %4095s %u %4095s %4095s", method, q->target, &q->status,
               q->location[0], q->location[1]) != 5) {
        fprintf(stderr, "load: line %zu of the table is wrong\n", load->n_questions);
        exit(2);
    }
    if (strcmp(method, "PUT") != 0 && strcmp(method, "POST") != 0)
        body_len = 0;
    q->len = (load->is_fcgi ? put_fcgi : put_http)(request, method, q->target, body_len);
    q->request = malloc(q->len);
    assert(q->request);
    memcpy(q->request, request, q->len);
}

static void read_table(struct load *load, const char *path, size_t body_len)
{
    static char line[4 * FIELD_MAX];
    FILE *file = fopen(path, "r");

    if (!file || body_len > REQUEST_MAX / 2) {
        fprintf(stderr, "load: cannot read '%s', or the body is too long\n", path);
        exit(2);
    }
    load->questions = calloc(QUESTIONS_MAX + 1, sizeof *load->questions);
    assert(load->questions);
    while (fgets(line, sizeof line, file))
        add_question(load, line, body_len);
    fclose(file);
    if (!load->n_questions)
        exit(2);
}

/* ---- asking -------------------------------------------------------------------------
 */

static void ask(struct load *load, struct conn *conn);

static void fail(struct load *load, const struct conn *conn, enum kind kind)
{
    load->n_failures++;
    load->by_kind[kind]++;
    if (!load->first[0])
        snprintf(load->first, sizeof load->first, "%s: %.200s: %.400s", kinds[kind],
                 conn->question->target, conn->got ? conn->answer : "");
}

static void hang_up(struct conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static bool open_conn(struct load *load, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    static const int on = 1;

    /* Loopback: it connects at once or waits for room in the backlog. */
    conn->fd = socket(load->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, &load->address.any, load->address_len) < 0)
        return false;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    load->n_connects++;
    return epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

static bool is_enough(const struct load *load)
{
    return load->ending || (load->n_wanted && load->n_asked >= load->n_wanted);
}

/* The answer is there, or it will not come. */
static void next(struct load *load, struct conn *conn)
{
    conn->question = NULL;
    load->n_asking--;
    if (!is_enough(load))
        ask(load, conn);
}

static void give_up(struct load *load, struct conn *conn, enum kind kind)
{
    fail(load, conn, kind);
    hang_up(conn);
    next(load, conn);
}

static void ask(struct load *load, struct conn *conn)
{
    conn->question = &load->questions[load->next++ % load->n_questions];
    conn->asked_ns = now_ns();
    conn->got = 0;
    load->n_asking++;
    load->n_asked++;
    if (conn->fd < 0 && !open_conn(load, conn)) {
        fail(load, conn, CONNECT);
        hang_up(conn); /* and the next round tries again */
        return;
    }
    /* What is asked is shorter than a socket's buffer. */
    if (send(conn->fd, conn->question->request, conn->question->len, MSG_NOSIGNAL) !=
        (ssize_t)conn->question->len) {
        fail(load, conn, CLOSED);
        hang_up(conn);
    }
}

/* ---- answers ------------------------------------------------------------------------
 */

/* The value of a header in a head that ends in an empty line; NULL: it is not there. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncmp(line, "\r\n\r\n", 4) == 0)
            return NULL;
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
            return line + 2 + len + 2;
    }
    return NULL;
}

static bool is_value(const char *value, const char *want)
{
    size_t len = strlen(want);

    if (!value)
        return strcmp(want, "-") == 0;
    return strncmp(value, want, len) == 0 && value[len] == '\r';
}

static void check(struct load *load, const struct conn *conn, const char *head,
                  unsigned status)
{
    const struct question *q = conn->question;
    const char *location = header(head, "Location");
    const char *text = header(head, "X-Dshard-Generation");
    uint64_t generation = text ? strtoull(text, NULL, 10) : 0;
    unsigned ring = generation & 1;

    if (status != q->status) {
        fail(load, conn, STATUS);
    } else if (is_value(location, q->location[ring])) {
        load->took_us[load->n_answers++] = (uint32_t)((now_ns() - conn->asked_ns) / 1000);
        load->by_ring[ring]++;
        if (generation > load->newest)
            load->newest = generation;
    } else {
        fail(load, conn, is_value(location, q->location[!ring]) ? OTHER_OWNER : NO_OWNER);
    }
}

/* Where a body in chunks ends; NULL: it has not all come. */
static const char *after_chunks(const char *at, const char *end)
{
    for (size_t len = 1; len;) {
        char *after;

        if (!strstr(at, "\r\n"))
            return NULL;
        len = strtoul(at, &after, 16);
        at = after + 2 + len + 2;
        if (strncmp(after, "\r\n", 2) != 0 || at > end)
            return NULL;
    }
    return at;
}

/* The length of the whole answer, of which this is the body; 0: it has not all come. */
static size_t http_len(const struct conn *conn, const char *body)
{
    const char *length = header(conn->answer, "Content-Length"), *end;
    size_t len = (size_t)(body - conn->answer);

    if (length)
        len += strtoul(length, NULL, 10);
    else if (is_value(header(conn->answer, "Transfer-Encoding"), "chunked"))
        len = (end = after_chunks(body, conn->answer + conn->got))
                  ? (size_t)(end - conn->answer)
                  : 0;
    return len <= conn->got ? len : 0;
}

static void on_http(struct load *load, struct conn *conn)
{
    const char *end = strstr(conn->answer, "\r\n\r\n"), *close_it;
    size_t len = end ? http_len(conn, end + 4) : 0;

    if (!len)
        return;
    if (conn->got > len || strncmp(conn->answer, "HTTP/1.1 ", 9) != 0) {
        give_up(load, conn, MALFORMED);
        return;
    }
    check(load, conn, conn->answer, (unsigned)strtoul(conn->answer + 9, NULL, 10));
    close_it = header(conn->answer, "Connection");
    if (close_it && strncasecmp(close_it, "close", 5) == 0)
        hang_up(conn);
    next(load, conn);
}

/* Where the record after this one begins; 0: this one is not whole. */
static size_t after_record(const struct conn *conn, size_t at)
{
    const unsigned char *header_at = (const unsigned char *)conn->answer + at;
    size_t len;

    if (at + 8 > conn->got)
        return 0;
    len = 8 + ((size_t)header_at[4] << 8 | header_at[5]) + header_at[6];
    return at + len <= conn->got ? at + len : 0;
}

static void on_fcgi(struct load *load, struct conn *conn)
{
    static char text[ANSWER_MAX];
    size_t len = 2, at = 0;
    bool is_whole = false;

    memcpy(text, "\r\n", 2); /* header() looks for it in front of a name */
    for (size_t after; !is_whole && (after = after_record(conn, at)); at = after) {
        const unsigned char *record = (const unsigned char *)conn->answer + at;
        size_t content = (size_t)record[4] << 8 | record[5];

        if (record[1] == 6) {
            memcpy(text + len, record + 8, content);
            len += content;
        }
        is_whole = record[1] == 3;
    }
    if (!is_whole)
        return;
    text[len] = '\0';
    if (at != conn->got || !header(text, "Status")) {
        give_up(load, conn, MALFORMED);
        return;
    }
    check(load, conn, text, (unsigned)strtoul(header(text, "Status"), NULL, 10));
    next(load, conn);
}

static void on_event(struct load *load, struct conn *conn)
{
    ssize_t n;

    if (conn->fd < 0)
        return; /* was closed earlier in this round */
    n = recv(conn->fd, conn->answer + conn->got, ANSWER_MAX - 1 - conn->got,
             MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && conn->question) {
        give_up(load, conn, CLOSED);
        return;
    }
    if (n <= 0 || !conn->question) {
        hang_up(conn); /* between two requests: it may */
        return;
    }
    conn->got += (size_t)n;
    conn->answer[conn->got] = '\0';
    (load->is_fcgi ? on_fcgi : on_http)(load, conn);
}

/* Who waits too long gives up; who could not ask asks again. */
static void look_round(struct load *load)
{
    int64_t now = now_ns();

    for (unsigned i = 0; i < load->n_conns; i++) {
        struct conn *conn = &load->conns[i];

        if (conn->question && conn->fd < 0)
            next(load, conn);
        else if (conn->question && now - conn->asked_ns > PATIENCE_S * 1000000000LL)
            give_up(load, conn, LATE);
    }
}

/* ---- the whole ----------------------------------------------------------------------
 */

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX], stdin_event = {.events = EPOLLIN};
    int64_t looked_ns = now_ns();

    /* A file or /dev/null cannot be watched, and does not end it. */
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &stdin_event);
    for (unsigned i = 0; i < load->n_conns && !is_enough(load); i++)
        ask(load, &load->conns[i]);
    while (load->n_asking) {
        int n = epoll_wait(load->epoll, events, EVENTS_MAX, 100);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(load, events[i].data.ptr);
            else if (epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL) == 0)
                load->ending = true;
        }
        if (now_ns() - looked_ns > 100000000) {
            look_round(load);
            looked_ns = now_ns();
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static unsigned rank(const struct load *load, double part)
{
    return load->n_answers ? load->took_us[(size_t)(part * (double)(load->n_answers - 1))]
                           : 0;
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text < ' ' || *text == '"' || *text == '\\')
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print(struct load *load, double seconds)
{
    qsort(load->took_us, load->n_answers, sizeof *load->took_us, compare);
    printf("{\"answers\":%llu,\"connects\":%llu,\"failures\":%llu,\"kinds\":{",
           (unsigned long long)load->n_answers, (unsigned long long)load->n_connects,
           (unsigned long long)load->n_failures);
    for (int i = 0; i < N_KINDS; i++)
        printf("%s\"%s\":%llu", i ? "," : "", kinds[i],
               (unsigned long long)load->by_kind[i]);
    printf("},\"rings\":[%llu,%llu],\"newest\":%llu,\"seconds\":%.3f,\"p50_us\":%u,"
           "\"p99_us\":%u,\"max_us\":%u,\"first\":",
           (unsigned long long)load->by_ring[0], (unsigned long long)load->by_ring[1],
           (unsigned long long)load->newest, seconds, rank(load, 0.5), rank(load, 0.99),
           rank(load, 1));
    print_text(load->first);
    puts("}");
}

static void resolve(struct load *load, const char *where)
{
    const char *port = strrchr(where, ':');

    if (strncmp(where, "unix:", 5) == 0) {
        load->address.un.sun_family = AF_UNIX;
        snprintf(load->address.un.sun_path, sizeof load->address.un.sun_path, "%s",
                 where + 5);
        load->address_len = sizeof load->address.un;
        return;
    }
    assert(port);
    load->address.in.sin_family = AF_INET;
    load->address.in.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    load->address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load->address_len = sizeof load->address.in;
}

int main(int argc, char **argv)
{
    enum { ANSWERS_MAX = 16 * 1024 * 1024 }; /* pages that are not touched cost nothing */
    struct load load = {0};
    int64_t start;

    if (argc != 7) {
        fputs("load http|fcgi ADDRESS CONNECTIONS REQUESTS TABLE BODY\n", stderr);
        return 2;
    }
    load.is_fcgi = strcmp(argv[1], "fcgi") == 0;
    resolve(&load, argv[2]);
    load.n_conns = (unsigned)strtoul(argv[3], NULL, 10);
    load.n_wanted = strtoull(argv[4], NULL, 10);
    read_table(&load, argv[5], strtoul(argv[6], NULL, 10));
    load.conns = calloc(load.n_conns, sizeof *load.conns);
    load.took_us = malloc(ANSWERS_MAX * sizeof *load.took_us);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    assert(load.n_conns && load.n_conns <= CONNS_MAX && load.conns && load.took_us &&
           load.epoll >= 0);
    if (!load.n_wanted || load.n_wanted > ANSWERS_MAX)
        load.n_wanted = ANSWERS_MAX;
    for (unsigned i = 0; i < load.n_conns; i++) {
        load.conns[i].fd = -1;
        load.conns[i].answer = malloc(ANSWER_MAX);
        assert(load.conns[i].answer);
    }
    start = now_ns();
    run(&load);
    print(&load, (double)(now_ns() - start) / 1e9);
    return 0;
}
