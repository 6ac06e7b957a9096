/* SPDX-License-Identifier: Apache-2.0 */
/* see handler.h */
#include "handler.h"
#include "dshard/url.h"
#include "lookup.h"
#include "pages.h"

#include <strings.h>

enum {
    URL_MAX = 64 * 1024, /* 24 KiB of path, and scheme, server and prefix */
    REASON_MAX = 500,    /* bytes of a reason in a header */
    RETRY_AFTER_S = 2,
};

static const char TEXT[] = "text/plain; charset=utf-8";
static const char JSON[] = "application/json";
static const char PUSH_METHODS[] = "DELETE, GET, HEAD, POST, PUT";
static const char READ_METHODS[] = "GET, HEAD";
static const char NO_STATE[] = "the state of the ring is not known yet";
static const char *const mode_names[] = {"redirect", "proxy", "auth"};

/* What one answer needs to know, beside the handler's own memory. */
struct context {
    struct ds_handler *handler;
    const struct ds_view *view;
    const struct ds_request *request;
    struct ds_response *response;
    enum ds_mode mode;
    enum ds_method method;
    const char *path; /* the target behind authority and prefix */
    size_t path_len;  /* up to the query */
};

const char *ds_mode_name(enum ds_mode mode)
{
    return mode_names[mode];
}

int ds_mode_parse(const char *text, enum ds_mode *out)
{
    for (size_t i = 0; i < DS_COUNT(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *out = (enum ds_mode)i;
            return 0;
        }
    }
    return -1;
}

int ds_prefix_check(const char *prefix, struct ds_error *err)
{
    size_t len = strlen(prefix);

    if (!len)
        return 0;
    if (!ds_url_path_is_clean(prefix, len) || prefix[len - 1] == '/')
        return ds_fail(err, DS_E_USAGE, "the prefix '%s' is not a path like /pushgateway",
                       prefix);
    return 0;
}

void ds_request_param(struct ds_request *request, const char *variable)
{
    static const struct {
        const char *name;
        size_t len, offset;
    } wanted[] = {
#define WANTED(name, field) {name "=", sizeof name, offsetof(struct ds_request, field)}
        WANTED("REQUEST_METHOD", method), WANTED("REQUEST_URI", target),
        WANTED("HTTP_ACCEPT", accept),    WANTED("DSHARD_MODE", mode),
        WANTED("DSHARD_PREFIX", prefix),
#undef WANTED
    };

    for (size_t i = 0; i < DS_COUNT(wanted); i++) {
        /* The first letter tells most of them apart, without a call. */
        if (variable[0] == wanted[i].name[0] &&
            strncmp(variable, wanted[i].name, wanted[i].len) == 0) {
            const char *value = variable + wanted[i].len;

            memcpy((char *)request + wanted[i].offset, &value, sizeof value);
            return;
        }
    }
}

void ds_handler_init(struct ds_handler *handler)
{
    ds_groupkey_init(&handler->group);
    ds_buf_init(&handler->url, URL_MAX);
    handler->err = (struct ds_error)DS_ERROR_INIT;
}

void ds_handler_release(struct ds_handler *handler)
{
    ds_groupkey_release(&handler->group);
    ds_buf_release(&handler->url);
}

void ds_auto_handler(struct ds_handler *handler)
{
    ds_handler_release(handler);
}

static void finish(const struct context *c, const char *type)
{
    const struct ds_state *state = c->view->state;
    bool is_head = c->method == DS_METHOD_HEAD;

    ds_response_finish(c->response, type, state ? state->generation : 0,
                       is_head ? DS_RESPONSE_HEAD : DS_RESPONSE_WHOLE);
}

/* nginx's auth_request passes 403 on and turns every other refusal into 500, so what the
   client should be told travels in headers. */
static void add_auth_reason(struct ds_response *response, unsigned status,
                            const char *reason)
{
    struct ds_buf *head = &response->head;

    ds_buf_addf(head, "X-Dshard-Status: %u\r\nX-Dshard-Reason: ", status);
    for (size_t i = 0; i < REASON_MAX && reason[i]; i++) {
        bool plain = reason[i] >= 0x20 && reason[i] < 0x7F;

        ds_buf_addc(head, plain ? reason[i] : '?');
    }
    ds_buf_adds(head, "\r\n");
}

/* A refusal: one line of reason.  allow: the methods that would do, for 405. */
static void refuse_with(const struct context *c, enum ds_refusal refusal,
                        const char *reason, const char *allow)
{
    struct ds_response *response = c->response;
    unsigned status = ds_refusal_status(refusal);

    c->handler->outcome.refusal = refusal;
    c->handler->outcome.place = -1;
    ds_response_begin(response, c->mode == DS_MODE_AUTH ? 403 : status);
    if (c->mode == DS_MODE_AUTH)
        add_auth_reason(response, status, reason);
    if (status == 503)
        ds_buf_addf(&response->head, "Retry-After: %d\r\n", RETRY_AFTER_S);
    if (allow)
        ds_response_header(response, "Allow", allow);
    ds_buf_adds(&response->body, reason);
    ds_buf_addc(&response->body, '\n');
    finish(c, TEXT);
}

static void refuse(const struct context *c, enum ds_refusal refusal, const char *reason)
{
    refuse_with(c, refusal, reason, NULL);
}

/* The servers' prefix and the canonical path, safe in a header. */
static void add_uri(const struct context *c, struct ds_buf *out)
{
    const struct ds_buf *url = &c->handler->group.url;

    ds_buf_adds(out, c->view->state->route_prefix);
    ds_response_add_url(out, url->data, url->len);
}

static void add_url(const struct context *c, const struct ds_server *owner,
                    struct ds_buf *out)
{
    ds_buf_adds(out, c->view->state->scheme);
    ds_buf_adds(out, "://");
    ds_buf_adds(out, owner->address);
    add_uri(c, out);
}

static void redirect(const struct context *c, const struct ds_server *owner)
{
    struct ds_buf *head = &c->response->head, *body = &c->response->body;

    ds_response_begin(c->response, 307);
    ds_buf_adds(head, "Location: ");
    add_url(c, owner, head);
    ds_buf_adds(head, "\r\n");
    ds_buf_adds(body, "this group belongs to ");
    ds_buf_adds(body, owner->address);
    ds_buf_adds(body, ": follow redirects (curl -L)\n");
    finish(c, TEXT);
}

static void answer_push(const struct context *c, const struct ds_server *owner)
{
    struct ds_response *response = c->response;

    if (c->mode == DS_MODE_REDIRECT) {
        redirect(c, owner);
        return;
    }
    ds_response_begin(response, 200);
    if (c->mode == DS_MODE_PROXY)
        ds_buf_adds(&response->head, "X-Accel-Redirect: @pushgateway\r\n");
    ds_response_header(response, "X-Dshard-Scheme", c->view->state->scheme);
    ds_response_header(response, "X-Dshard-Server", owner->address);
    ds_buf_adds(&response->head, "X-Dshard-Uri: ");
    add_uri(c, &response->head);
    ds_buf_adds(&response->head, "\r\n");
    finish(c, TEXT);
}

/* GET: who would get this push; the text is what the seed answers. */
static void answer_lookup(const struct context *c, const struct ds_server *owner)
{
    struct ds_buf *body = &c->response->body, *url = &c->handler->url;

    ds_response_begin(c->response, 200);
    ds_response_header(c->response, "Vary", "Accept");
    if (ds_lookup_wants_json(c->request->accept)) {
        ds_buf_clear(url);
        add_url(c, owner, url);
        ds_lookup_format(c->view->state, &c->handler->group, owner, url->data, body);
        finish(c, JSON);
        return;
    }
    ds_buf_adds(body, "nextUrl:");
    add_url(c, owner, body);
    finish(c, TEXT);
}

static bool is_read_method(enum ds_method method)
{
    return method == DS_METHOD_GET || method == DS_METHOD_HEAD;
}

/* What the parser of push paths has against this one. */
static void refuse_path(const struct context *c)
{
    const struct ds_error *err = &c->handler->err;
    enum ds_refusal refusal = DS_REFUSAL_BAD_PATH;

    if (err->code == DS_E_NOT_FOUND)
        refusal = DS_REFUSAL_NOT_FOUND;
    else if (err->code == DS_E_TOO_LONG)
        refusal = DS_REFUSAL_TOO_LONG;
    refuse(c, refusal, err->text);
}

/* Where a group's pushes go. */
static void answer_owner(const struct context *c, bool push)
{
    struct ds_handler *handler = c->handler;
    const struct ds_view *view = c->view;
    struct ds_ring_hit hit;

    ds_ring_find(view->ring, handler->group.key.data, handler->group.key.len, &hit);
    if (!push) {
        answer_lookup(c, hit.owner);
        return;
    }
    if (view->places)
        handler->outcome.place = view->places[hit.member];
    answer_push(c, hit.owner);
}

/* A push path, or none of ours. */
static void answer_group(const struct context *c)
{
    struct ds_handler *handler = c->handler;
    bool push = ds_method_is_push(c->method);
    size_t len = c->path_len + strlen(c->path + c->path_len);
    int parsed = ds_groupkey_parse(&handler->group, c->path, len, &handler->err);

    if (parsed < 0 && handler->err.code != DS_E_BAD_PATH)
        refuse_path(c);
    else if (!push && (c->mode == DS_MODE_AUTH || !is_read_method(c->method)))
        refuse_with(c, DS_REFUSAL_METHOD,
                    "a group is pushed with PUT or POST and deleted with DELETE",
                    PUSH_METHODS);
    else if (parsed < 0)
        refuse_path(c);
    else if (!c->view->state)
        refuse(c, DS_REFUSAL_NO_STATE, NO_STATE);
    else if (!c->view->ring)
        refuse(c, DS_REFUSAL_NO_MEMBER, "the ring has no member");
    else
        answer_owner(c, push);
}

static void answer_page(const struct context *c, const struct ds_fcgi_page *page)
{
    const char *type;

    if (!is_read_method(c->method)) {
        refuse_with(c, DS_REFUSAL_METHOD, "this page can only be read", READ_METHODS);
        return;
    }
    /* A 200 would say "pass on". */
    if (c->mode == DS_MODE_AUTH) {
        refuse(c, DS_REFUSAL_NOT_FOUND, "mode auth is asked about pushes only");
        return;
    }
    type = page->write(c->view, c->request, c->response);
    if (type)
        finish(c, type);
    else
        refuse(c, DS_REFUSAL_NO_STATE, NO_STATE);
}

/* "http://host" of an absolute target is cut: a proxy's way to write it. */
static const char *skip_authority(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    if (*target == '/')
        return target;
    for (size_t i = 0; i < DS_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (strncasecmp(target, schemes[i], len) == 0)
            return target + len + strcspn(target + len, "/?");
    }
    return target;
}

/* Sets path and path_len; false: the target does not begin with the prefix. */
static bool cut_prefix(struct context *c, const char *prefix)
{
    size_t len = strlen(prefix);

    c->path = skip_authority(c->request->target);
    if (len) {
        /* strchr() finds the end of the path, too. */
        if (strncmp(c->path, prefix, len) != 0 || !strchr("/?", c->path[len]))
            return false;
        c->path += len;
    }
    c->path_len = (size_t)(strchrnul(c->path, '?') - c->path);
    return true;
}

/* What the web server was told to say; its mistakes are no fault of the client. */
static bool read_settings(struct context *c, const char **prefix)
{
    const struct ds_request *request = c->request;

    c->mode = request->default_mode;
    if (request->mode && *request->mode && ds_mode_parse(request->mode, &c->mode) < 0) {
        refuse(c, DS_REFUSAL_MISCONFIGURED, "DSHARD_MODE is not redirect, proxy or auth");
        return false;
    }
    *prefix = request->prefix ? request->prefix : request->default_prefix;
    *prefix = *prefix ? *prefix : "";
    if (ds_prefix_check(*prefix, &c->handler->err) < 0) {
        refuse(c, DS_REFUSAL_MISCONFIGURED,
               "DSHARD_PREFIX is not a path like /pushgateway");
        return false;
    }
    if (!request->method || !request->target) {
        refuse(c, DS_REFUSAL_MISCONFIGURED,
               "the web server passes no REQUEST_METHOD or no REQUEST_URI");
        return false;
    }
    return true;
}

static void answer(struct context *c)
{
    const struct ds_fcgi_page *page;
    const char *prefix;

    if (!read_settings(c, &prefix))
        return;
    if (!cut_prefix(c, prefix)) {
        refuse(c, DS_REFUSAL_NOT_FOUND, "the path does not begin with the prefix");
        return;
    }
    page = ds_fcgi_page_find(c->path, c->path_len);
    if (page)
        answer_page(c, page);
    else
        answer_group(c);
}

void ds_handler_answer(struct ds_handler *handler, const struct ds_view *view,
                       const struct ds_request *request, struct ds_response *response)
{
    struct context c = {.handler = handler,
                        .view = view,
                        .request = request,
                        .response = response,
                        .method = ds_method_of(request->method)};

    handler->url.over = false;
    handler->outcome = (struct ds_outcome){.method = c.method, .place = -1};
    answer(&c);
    if (response->head.over || response->body.over || handler->url.over)
        refuse(&c, DS_REFUSAL_OVERFLOW, "the answer is too long");
    handler->outcome.status = response->status;
}
