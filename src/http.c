/* SPDX-License-Identifier: Apache-2.0 */
/* see http.h */
#include "dshard/http.h"
#include "dshard/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    FDS_MAX = 8,
    WAIT_MAX_MS = 60000,
    BESIDE_SINK_MAX = 1024 * 1024, /* of an answer that the sink does not get */
};

struct ds_http_loop {
    CURLM *multi;
    struct ds_http_transfer *transfers; /* a list of all that run */
};

struct ds_http_transfer {
    struct ds_http_loop *loop;
    struct ds_http_transfer *next, **link; /* *link points here */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    char *method, *url; /* for the error's text */
    struct ds_http_response response;
    bool head_is_whole;
    ds_http_sink_fn *sink;
    void *sink_arg;
    size_t sink_max;
    int64_t started_ms;
    ds_http_done_fn *done;
    void *arg;
    char words[CURL_ERROR_SIZE];
};

struct ds_http_loop *ds_http_loop_new(void)
{
    struct ds_http_loop *loop = ds_xcalloc(1, sizeof *loop);

    curl_global_init(CURL_GLOBAL_DEFAULT);
    loop->multi = curl_multi_init();
    if (!loop->multi)
        abort(); /* only without memory */
    return loop;
}

void ds_http_loop_free(struct ds_http_loop *loop)
{
    if (!loop)
        return;
    while (loop->transfers)
        ds_http_cancel(loop->transfers);
    curl_multi_cleanup(loop->multi);
    free(loop);
}

void ds_http_cancel(struct ds_http_transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next)
        transfer->next->link = transfer->link;
    curl_multi_remove_handle(transfer->loop->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->connect_to);
    ds_http_response_release(&transfer->response);
    free(transfer->method);
    free(transfer->url);
    free(transfer);
}

/* Stops the transfer (by taking less than was offered) when the answer is too long. */
static size_t take(char *data, size_t size, size_t n, void *arg)
{
    struct ds_buf *buf = arg;

    ds_buf_add(buf, data, size * n);
    return buf->over ? 0 : size * n;
}

/* What the sink takes counts towards body_max, too. */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct ds_http_transfer *transfer = arg;
    struct ds_http_response *response = &transfer->response;
    size_t len = size * n;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!transfer->sink || status != 200)
        return take(data, size, n, &response->body);
    if (len > transfer->sink_max - response->sunk) {
        response->body.max = transfer->sink_max; /* for the words about it */
        response->body.over = true;
        return 0;
    }
    if (!response->sunk)
        response->begun_ms = ds_clock_mono_ms() - transfer->started_ms;
    response->sunk += len;
    response->stopped = transfer->sink(transfer->sink_arg, data, len) < 0;
    return response->stopped ? 0 : len;
}

/* One line a call.  An answer may follow others (100, 103): only the last one counts. */
static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
    struct ds_http_transfer *transfer = arg;
    size_t len = size * n;

    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        ds_buf_clear(&transfer->response.headers);
        transfer->head_is_whole = false;
    }
    if (len && (line[0] == '\r' || line[0] == '\n'))
        transfer->head_is_whole = true;
    return take(line, size, n, &transfer->response.headers);
}

static void add_header(struct ds_http_transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);

    if (!longer)
        abort(); /* only without memory */
    transfer->headers = longer;
}

static void set_body(struct ds_http_transfer *transfer,
                     const struct ds_http_request *request)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method);
    if (strcmp(transfer->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->body || strcmp(transfer->method, "PUT") == 0 ||
        strcmp(transfer->method, "POST") == 0) {
        /* Always with Content-Length, never chunked: Consul ignores chunked bodies. */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
                         request->body ? request->body : "");
        add_header(transfer, "Expect:"); /* or curl waits a second for a 100 */
    }
}

/* SNI and verification by another name: the URL has that name, the connection goes to the
   real address. */
static void set_tls(struct ds_http_transfer *transfer,
                    const struct ds_http_request *request)
{
    CURL *easy = transfer->easy;

    if (request->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (request->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, request->cert_file);
    if (request->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, request->key_file);
    if (request->tls_insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_url(struct ds_http_transfer *transfer,
                    const struct ds_http_request *request)
{
    CURL *easy = transfer->easy;

    if (request->tls_server_name) {
        DS_AUTO(str) char *rule = NULL;
        CURLU *parts = curl_url();
        char *host = NULL, *port = NULL, *url = NULL;

        if (curl_url_set(parts, CURLUPART_URL, request->url, 0) == CURLUE_OK &&
            curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
            curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
            curl_url_set(parts, CURLUPART_HOST, request->tls_server_name, 0) ==
                CURLUE_OK &&
            curl_url_get(parts, CURLUPART_URL, &url, 0) == CURLUE_OK) {
            rule =
                ds_xasprintf("%s:%s:%s:%s", request->tls_server_name, port, host, port);
            transfer->connect_to = curl_slist_append(NULL, rule);
            curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to);
            curl_easy_setopt(easy, CURLOPT_URL, url);
        }
        curl_free(host);
        curl_free(port);
        curl_free(url);
        curl_url_cleanup(parts);
        if (rule)
            return;
    }
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
}

/* curl does not tell why it got no socket. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
    struct ds_http_transfer *transfer = arg;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0 &&
        (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        transfer->response.local = true;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* The one place where a curl handle gets its options. */
static void set_up(struct ds_http_transfer *transfer,
                   const struct ds_http_request *request)
{
    CURL *easy = transfer->easy;
    int64_t connect_ms =
        request->connect_timeout_ms ? request->connect_timeout_ms : request->timeout_ms;

    set_url(transfer, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->words);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "dshard/" DS_VERSION);
    /* A slow resolver must not hold up the end of a transfer that has timed out. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (request->fresh) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (request->unix_socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    if (request->username) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, request->username);
        curl_easy_setopt(easy, CURLOPT_PASSWORD,
                         request->password ? request->password : "");
    }
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    set_tls(transfer, request);
    set_body(transfer, request);
    for (size_t i = 0; i < DS_HTTP_HEADERS_MAX; i++) {
        if (request->headers[i])
            add_header(transfer, request->headers[i]);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

struct ds_http_transfer *ds_http_start(struct ds_http_loop *loop,
                                       const struct ds_http_request *request,
                                       ds_http_done_fn *done, void *arg)
{
    struct ds_http_transfer *transfer = ds_xcalloc(1, sizeof *transfer);

    transfer->loop = loop;
    transfer->done = done;
    transfer->arg = arg;
    transfer->sink = request->sink;
    transfer->sink_arg = request->sink_arg;
    transfer->sink_max = request->body_max;
    transfer->method = ds_xstrdup(request->method ? request->method : "GET");
    transfer->url = ds_xstrdup(request->url);
    transfer->started_ms = ds_clock_mono_ms();
    ds_http_response_init(&transfer->response);
    transfer->response.body.max = request->sink && request->body_max > BESIDE_SINK_MAX
                                      ? BESIDE_SINK_MAX
                                      : request->body_max;
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        abort(); /* only without memory */
    set_up(transfer, request);
    transfer->next = loop->transfers;
    transfer->link = &loop->transfers;
    if (transfer->next)
        transfer->next->link = &transfer->next;
    loop->transfers = transfer;
    curl_multi_add_handle(loop->multi, transfer->easy);
    return transfer;
}

/* There is not what a resolver takes. */
static bool lacks_descriptors(void)
{
    DS_AUTO(fd) int a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    DS_AUTO(fd) int b = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    DS_AUTO(fd) int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return a < 0 || b < 0 || c < 0;
}

/* curl has no code of its own for a resolver that could not be started, or that could
   open nothing, nor for a file of certificates that it could not open for that. */
static bool is_local(CURLcode code, const char *words)
{
    return code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
           strstr(words, "thread failed to start") ||
           ((code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_SSL_CACERT_BADFILE) &&
            lacks_descriptors());
}

static void fill_failure(struct ds_http_transfer *transfer, CURLcode code)
{
    struct ds_http_response *response = &transfer->response;
    const char *words = transfer->words[0] ? transfer->words : curl_easy_strerror(code);
    long os_errno = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
    response->status = 0;
    response->refused = code == CURLE_COULDNT_CONNECT && os_errno == ECONNREFUSED;
    response->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    response->local = response->local || is_local(code, words);
    if (response->headers.over || response->body.over) {
        ds_fail(&response->err, DS_E_NET, "%s %s: the answer%s longer than %zu bytes",
                transfer->method, transfer->url,
                response->headers.over ? "'s headers are" : " is",
                response->headers.over ? response->headers.max : response->body.max);
        return;
    }
    if (response->stopped)
        words = "the answer is not what was asked for";
    else if (code == CURLE_OK)
        words = "the connection was closed within the answer's headers";
    else if (code == CURLE_COULDNT_CONNECT && os_errno)
        words = strerror((int)os_errno); /* curl does not say it */
    ds_fail(&response->err, DS_E_NET, "%s %s: %s%s", transfer->method, transfer->url,
            code == CURLE_COULDNT_CONNECT ? "cannot connect: " : "", words);
}

static void finish(struct ds_http_transfer *transfer, CURLcode code)
{
    struct ds_http_response *response = &transfer->response;
    long status = 0;

    response->elapsed_ms = ds_clock_mono_ms() - transfer->started_ms;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    response->status = (int)status;
    /* curl takes a head that ends in the middle for a whole one. */
    if (code != CURLE_OK || !status || !transfer->head_is_whole)
        fill_failure(transfer, code);
    transfer->done(transfer->arg, response);
    ds_http_cancel(transfer); /* there is nothing left to end: its memory */
}

/* Runs the callbacks of what has ended; true when there were any. */
static bool reap(struct ds_http_loop *loop)
{
    const CURLMsg *message;
    bool any = false;
    int left;

    while ((message = curl_multi_info_read(loop->multi, &left))) {
        struct ds_http_transfer *transfer = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish(transfer, message->data.result);
        any = true;
    }
    return any;
}

void ds_http_loop_run(struct ds_http_loop *loop, const int *fds, size_t n_fds,
                      int64_t timeout_ms)
{
    struct curl_waitfd waits[FDS_MAX];
    int running;

    if (n_fds > FDS_MAX)
        n_fds = FDS_MAX;
    for (size_t i = 0; i < n_fds; i++)
        waits[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
    /* Gives new transfers their first step, so that there is something to poll for; those
       that end with it would not wake the poll. */
    curl_multi_perform(loop->multi, &running);
    if (reap(loop) || timeout_ms < 0)
        timeout_ms = 0;
    curl_multi_poll(loop->multi, waits, (unsigned)n_fds,
                    (int)(timeout_ms > WAIT_MAX_MS ? WAIT_MAX_MS : timeout_ms), NULL);
    curl_multi_perform(loop->multi, &running);
    ds_ignore(reap(loop));
}
