/* SPDX-License-Identifier: Apache-2.0 */
/* see consul.h; the settings come together in consul_env.c */
#include "dshard/consul.h"
#include "consul_impl.h"
#include "dshard/file.h"
#include "dshard/num.h"
#include "dshard/url.h"

#include <stdlib.h>

enum { CONNECT_TIMEOUT_MS = 5000, TOKEN_MAX = 4096, HEADER_MAX = TOKEN_MAX + 64 };

void ds_consul_free(struct ds_consul *consul)
{
    if (!consul)
        return;
    ds_wipe(consul->token);
    ds_wipe(consul->password);
    free(consul->url);
    free(consul->unix_socket);
    free(consul->username);
    free(consul->token_file);
    free(consul->datacenter);
    free(consul->ca_file);
    free(consul->cert_file);
    free(consul->key_file);
    free(consul->tls_server_name);
    free(consul->service);
    free(consul);
}

void ds_auto_consul(struct ds_consul **consul)
{
    ds_consul_free(*consul);
}

const char *ds_consul_service(const struct ds_consul *consul)
{
    return consul->service;
}

const char *ds_consul_url(const struct ds_consul *consul)
{
    return consul->url;
}

int ds_consul_read_token(const char *path, char **out, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TOKEN_MAX);
    char *from;
    size_t len;

    if (ds_file_read(&text, path, err) < 0)
        return ds_wrap(err, "the Consul token");
    from = text.data + strspn(text.data, " \t\r\n");
    len = strlen(from);
    while (len && strchr(" \t\r\n", from[len - 1]))
        len--;
    if (!len) /* as while it is being written: it would mean to be nobody */
        return ds_fail(err, DS_E_FORMAT, "the Consul token: '%s' is empty", path);
    for (size_t i = 0; i < len; i++) { /* it becomes a line of the request's head */
        if ((unsigned char)from[i] <= ' ' || from[i] == 0x7F) {
            explicit_bzero(text.data, text.len);
            return ds_fail(
                err, DS_E_FORMAT,
                "the Consul token: '%s' has a space or a control character in it", path);
        }
    }
    ds_wipe(*out);
    *out = ds_xstrndup(from, len);
    explicit_bzero(text.data, text.len);
    return 0;
}

bool ds_consul_refresh_token(struct ds_consul *consul)
{
    struct ds_error ignored = DS_ERROR_INIT;
    char *token = NULL;

    if (!consul->token_file ||
        ds_consul_read_token(consul->token_file, &token, &ignored) < 0)
        return false;
    if (consul->token && strcmp(consul->token, token) == 0) {
        ds_wipe(token);
        return false;
    }
    ds_wipe(consul->token);
    consul->token = token;
    consul->token_version++;
    return true;
}

unsigned ds_consul_token_version(const struct ds_consul *consul)
{
    return consul->token_version;
}

/* ---- requests ---- */

static bool is_write(const struct ds_consul_call *call)
{
    return call->method && strcmp(call->method, "GET") != 0;
}

static void add_url(const struct ds_consul *consul, const struct ds_consul_call *call,
                    struct ds_buf *out)
{
    ds_buf_addf(out, "%s%s", consul->url, call->path);
    if (call->query || consul->datacenter)
        ds_buf_addc(out, '?');
    if (consul->datacenter) {
        ds_buf_adds(out, "dc=");
        ds_url_encode(out, consul->datacenter, strlen(consul->datacenter));
    }
    if (call->query && consul->datacenter)
        ds_buf_addc(out, '&');
    if (call->query)
        ds_buf_adds(out, call->query);
}

/* What a request borrows while it is being started. */
struct words {
    struct ds_buf url, token;
};

static void fill(const struct ds_consul *consul, const struct ds_consul_call *call,
                 struct words *words, struct ds_http_request *request)
{
    int64_t timeout_ms =
        is_write(call) ? DS_CONSUL_WRITE_TIMEOUT_MS : DS_CONSUL_TIMEOUT_MS;
    size_t n_headers = 0;

    ds_buf_init(&words->url, DS_CONSUL_PATH_MAX * 2);
    ds_buf_init(&words->token, HEADER_MAX);
    add_url(consul, call, &words->url);
    *request = (struct ds_http_request){
        .method = call->method,
        .url = words->url.data,
        .username = consul->username,
        .password = consul->password,
        .unix_socket = consul->unix_socket,
        .ca_file = consul->ca_file,
        .cert_file = consul->cert_file,
        .key_file = consul->key_file,
        .tls_server_name = consul->tls_server_name,
        .tls_insecure = consul->tls_insecure,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = call->timeout_ms ? call->timeout_ms : timeout_ms,
        .body_max = DS_CONSUL_ANSWER_MAX,
    };
    if (call->body) {
        request->body = call->body;
        request->body_len = strlen(call->body);
        request->headers[n_headers++] = "Content-Type: application/json";
    }
    if (consul->token && consul->token[0]) {
        ds_buf_addf(&words->token, "X-Consul-Token: %s", consul->token);
        request->headers[n_headers] = words->token.data;
    }
}

static void release(struct words *words)
{
    explicit_bzero(words->token.data, words->token.len);
    ds_buf_release(&words->token);
    ds_buf_release(&words->url);
}

struct ds_http_transfer *ds_consul_start(const struct ds_consul *consul,
                                         struct ds_http_loop *loop,
                                         const struct ds_consul_call *call,
                                         ds_http_done_fn *done, void *arg)
{
    struct ds_http_request request;
    struct ds_http_transfer *transfer;
    struct words words;

    fill(consul, call, &words, &request);
    transfer = ds_http_start(loop, &request, done, arg);
    release(&words);
    return transfer;
}

/* A status that says "not now": no leader, an overloaded or limited agent. */
static bool is_temporary(int status)
{
    return status == 429 || status >= 500;
}

int ds_consul_judge(const struct ds_consul *consul, const struct ds_consul_call *call,
                    enum ds_consul_allow allow, const struct ds_http_response *response,
                    struct ds_error *err)
{
    struct ds_http_request request;
    struct words words;

    if (!response->status) {
        *err = response->err;
        err->code = DS_E_TEMP;
        return -1;
    }
    if (response->status >= 200 && response->status < 300)
        return 0;
    if (response->status == 404 && allow == DS_CONSUL_ALLOW_404)
        return 0;
    fill(consul, call, &words, &request);
    ds_http_fail_status(&request, response, err);
    release(&words);
    if (is_temporary(response->status))
        err->code = DS_E_TEMP;
    return -1;
}

int ds_consul_do(const struct ds_consul *consul, const struct ds_consul_call *call,
                 enum ds_consul_allow allow, struct ds_http_response *response,
                 struct ds_error *err)
{
    struct ds_http_request request;
    struct words words;
    int rc;

    fill(consul, call, &words, &request);
    rc = ds_http_do(&request, response, err);
    release(&words);
    if (rc < 0) {
        err->code = DS_E_TEMP;
        return -1;
    }
    return ds_consul_judge(consul, call, allow, response, err);
}

uint64_t ds_consul_index(const struct ds_http_response *response)
{
    DS_AUTO(str) char *text = NULL;
    struct ds_error err = DS_ERROR_INIT;
    uint64_t index;

    if (response->status != 200 && response->status != 404)
        return 0;
    text = ds_http_header(response, "X-Consul-Index");
    if (!text || ds_num_parse(text, 0, UINT64_MAX, &index, &err) < 0)
        return 0;
    return index ? index : 1; /* 0 would mean "answer at once" if it were sent back */
}

void ds_consul_key(const struct ds_consul *consul, const char *rest, struct ds_buf *out)
{
    ds_buf_adds(out, "dshard/");
    ds_url_encode(out, consul->service, strlen(consul->service));
    ds_buf_addc(out, '/');
    for (const char *p = rest; *p;) {
        size_t len = strcspn(p, "/");

        ds_url_encode(out, p, len);
        p += len;
        if (*p)
            ds_buf_addc(out, *p++);
    }
}
