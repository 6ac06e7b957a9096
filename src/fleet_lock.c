/* SPDX-License-Identifier: Apache-2.0 */
/* see fleet_lock.h */
#include "dshard/fleet_lock.h"
#include "dshard/clock.h"
#include "dshard/consul.h"
#include "dshard/consul_session.h"
#include "dshard/file.h"
#include "dshard/process.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RENEW_MS = DS_SESSION_TTL_MS / 3,
    RENEW_AGAIN_MS = 500,    /* after a renewal that failed */
    RENEW_TIMEOUT_MS = 1500, /* of each of its two calls: they fit into the TTL */
    CALL_TIMEOUT_MS = 8000,  /* of the others; Consul may look for a leader for 7 s */
    FAREWELL_TIMEOUT_MS = 2000,
    POLL_MS = 250,
    VALUE_MAX = 4096,
    WORD_MAX = 200, /* of a name or purpose that somebody else wrote */
};

struct ds_fleet_lock {
    char *value; /* who and what for, as JSON */
    /* standalone */
    struct ds_file_lock file;
    struct ds_file_id id; /* of what is locked */
    char *path;
    /* with Consul */
    struct ds_consul *consul;
    char *path_of_key;
    char *session; /* NULL: none */
    bool held, lost;
    int64_t ok_ms;       /* when the last good call to keep the session was sent */
    int64_t due_ms;      /* no renewal before */
    struct ds_error why; /* of the last renewal that failed */
};

/* ---- who has it ---- */

/* Who and what for: what others read while they wait. */
static char *make_value(const char *what)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(VALUE_MAX);
    DS_AUTO(str) char *by = ds_process_name();

    ds_buf_adds(&out, "{\"by\":");
    ds_buf_add_json(&out, by, strlen(by));
    ds_buf_adds(&out, ",\"what\":");
    ds_buf_add_json(&out, what, strlen(what));
    ds_buf_addc(&out, '}');
    return ds_buf_steal(&out);
}

/* What anybody may have written and we show. */
static bool is_presentable(const char *word)
{
    if (!word || !word[0] || strlen(word) > WORD_MAX)
        return false;
    for (const char *p = word; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    }
    return true;
}

static int fail_held(const struct ds_buf *value, struct ds_error *err)
{
    json_error_t json_err;
    json_auto_t *root = json_loadb(value->data, value->len, 0, &json_err);
    const char *by = json_string_value(json_object_get(root, "by"));
    const char *what = json_string_value(json_object_get(root, "what"));

    if (!is_presentable(by) || !is_presentable(what))
        return ds_fail(err, DS_E_TEMP, "the fleet's lock is held by another dshard");
    return ds_fail(err, DS_E_TEMP, "the fleet's lock is held by %s%s: %s", by,
                   ds_process_is_dead(by) ? ", which has ended" : "", what);
}

/* ---- standalone: a file ---- */

static char *lock_path(const char *state_path)
{
    DS_AUTO(str) char *dir = ds_file_dir(state_path);
    const char *slash = strrchr(state_path, '/');

    return ds_xasprintf("%s/.%s.fleet", dir, slash ? slash + 1 : state_path);
}

/* The file stays, and may belong to somebody who lets us lock it but not write: then it
   does not say who we are, and locks all the same. */
static void sign_file(const char *path, const char *text)
{
    DS_AUTO(fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0)
        ds_ignore(write(fd, text, strlen(text)) < 0);
}

static int take_file(struct ds_fleet_lock *lock, const struct ds_config *config,
                     int64_t timeout_ms, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf theirs = DS_BUF_INIT(VALUE_MAX);
    struct ds_error ignored = DS_ERROR_INIT;

    lock->path = lock_path(config->state_file);
    if (ds_file_lock_path(&lock->file, lock->path, timeout_ms, err) < 0) {
        if (err->code != DS_E_TEMP)
            return -1;
        ds_ignore(ds_file_read(&theirs, lock->path, &ignored) < 0); /* says less */
        return fail_held(&theirs, err);
    }
    if (ds_file_id_of_fd(lock->file.fd, &lock->id) < 0)
        return ds_fail_errno(err, "cannot stat '%s'", lock->path);
    sign_file(lock->path, lock->value);
    return 0;
}

/* A lock on a file that is no longer there keeps nobody out. */
static int check_file(const struct ds_fleet_lock *lock, struct ds_error *err)
{
    struct ds_file_id id;

    if (ds_file_id_of_path(lock->path, &id) < 0 || id.dev != lock->id.dev ||
        id.ino != lock->id.ino)
        return ds_fail(err, DS_E_TEMP, "the fleet's lock is lost: '%s' was removed",
                       lock->path);
    return 0;
}

/* ---- with Consul: a key ---- */

static int ask(const struct ds_fleet_lock *lock, const struct ds_consul_call *call,
               struct ds_http_response *response, struct ds_error *err)
{
    ds_http_response_init(response);
    return ds_consul_do(lock->consul, call, DS_CONSUL_ALLOW_404, response, err);
}

/* *holder: new, NULL when nobody has it; *value may be NULL. */
static int read_key(const struct ds_fleet_lock *lock, int64_t timeout_ms, char **holder,
                    struct ds_buf *value, struct ds_error *err)
{
    struct ds_consul_call call = {.path = lock->path_of_key, .timeout_ms = timeout_ms};
    DS_AUTO(http_response) struct ds_http_response response;

    if (ask(lock, &call, &response, err) < 0)
        return -1;
    if (ds_consul_session_holder(&response, holder) < 0)
        return ds_fail(err, DS_E_TEMP, "GET %s%s: it is no entry of the KV store",
                       ds_consul_url(lock->consul), lock->path_of_key);
    if (value)
        ds_consul_session_value(&response, value);
    return 0;
}

static void drop_session(struct ds_fleet_lock *lock)
{
    free(lock->session);
    lock->session = NULL;
}

static int create_session(struct ds_fleet_lock *lock, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(VALUE_MAX);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {
        .method = "PUT", .path = "/v1/session/create", .timeout_ms = CALL_TIMEOUT_MS};
    int64_t sent_ms = ds_clock_mono_ms();

    /* A promise of some seconds must outlast the death of our own agent. */
    ds_consul_session_body(DS_SESSION_ENDS_BY_TTL, &body);
    call.body = body.data;
    if (ask(lock, &call, &response, err) < 0)
        return -1;
    lock->session = ds_consul_session_id(&response);
    if (!lock->session)
        return ds_fail(err, DS_E_TEMP, "PUT %s%s: no session came back",
                       ds_consul_url(lock->consul), call.path);
    lock->ok_ms = sent_ms;
    return 0;
}

/* 1: Consul has ended the session. */
static int renew_session(struct ds_fleet_lock *lock, int64_t timeout_ms,
                         struct ds_error *err)
{
    DS_AUTO(str) char *path = ds_xasprintf("/v1/session/renew/%s", lock->session);
    struct ds_consul_call call = {
        .method = "PUT", .path = path, .timeout_ms = timeout_ms};
    DS_AUTO(http_response) struct ds_http_response response;
    int64_t sent_ms = ds_clock_mono_ms();

    if (ask(lock, &call, &response, err) < 0)
        return -1;
    if (response.status == 404)
        return 1;
    lock->ok_ms = sent_ms;
    return 0;
}

/* A session that has the whole of its TTL before it, more or less. */
static int freshen_session(struct ds_fleet_lock *lock, struct ds_error *err)
{
    int rc = 0;

    if (lock->session && ds_clock_mono_ms() - lock->ok_ms >= RENEW_MS)
        rc = renew_session(lock, CALL_TIMEOUT_MS, err);
    if (rc < 0)
        return -1;
    if (rc > 0)
        drop_session(lock);
    return lock->session ? 0 : create_session(lock, err);
}

static int acquire(struct ds_fleet_lock *lock, struct ds_error *err)
{
    DS_AUTO(str) char *query = ds_xasprintf("acquire=%s", lock->session);
    struct ds_consul_call call = {.method = "PUT",
                                  .path = lock->path_of_key,
                                  .query = query,
                                  .body = lock->value,
                                  .timeout_ms = CALL_TIMEOUT_MS};
    DS_AUTO(http_response) struct ds_http_response response;

    if (ask(lock, &call, &response, err) < 0) {
        if (ds_consul_says_no_session(&response))
            drop_session(lock);
        return -1;
    }
    lock->held = ds_consul_says_true(&response);
    return 0;
}

/* *asked: Consul has answered, whatever came of it.  -1 with DS_E_TEMP: not now. */
static int try_key(struct ds_fleet_lock *lock, bool *asked, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf value = DS_BUF_INIT(VALUE_MAX);
    DS_AUTO(str) char *holder = NULL;

    /* Asking for it would be a write: only when it looks free.  (Ours it may be when the
       answer to an acquire was lost.) */
    if (read_key(lock, CALL_TIMEOUT_MS, &holder, &value, err) < 0)
        return -1;
    *asked = true;
    if (holder && (!lock->session || strcmp(holder, lock->session) != 0))
        return fail_held(&value, err);
    if (freshen_session(lock, err) < 0 || acquire(lock, err) < 0)
        return -1;
    if (!lock->held)
        return ds_fail(err, DS_E_TEMP,
                       "the fleet's lock is not free yet: its holder has just died");
    return 0;
}

static int take_key(struct ds_fleet_lock *lock, const struct ds_config *config,
                    int64_t timeout_ms, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    int64_t deadline_ms = ds_clock_mono_ms() + timeout_ms;
    bool asked = false;

    lock->consul = ds_consul_new(config, err);
    if (!lock->consul)
        return -1;
    ds_buf_adds(&path, "/v1/kv/");
    ds_consul_key(lock->consul, "fleet", &path);
    if (ds_buf_check(&path, "the path of a key", err) < 0)
        return -1;
    lock->path_of_key = ds_buf_steal(&path);
    while (try_key(lock, &asked, err) < 0) {
        int64_t left_ms = deadline_ms - ds_clock_mono_ms();

        /* A Consul that was never there is said at once. */
        if (err->code != DS_E_TEMP || !asked || left_ms <= 0)
            return -1;
        ds_clock_sleep_ms(left_ms < POLL_MS ? left_ms : POLL_MS);
    }
    return 0;
}

/* 1: it is not ours any more.  -1: Consul does not tell.  *err says why in both cases. */
static int renew(struct ds_fleet_lock *lock, struct ds_error *err)
{
    DS_AUTO(str) char *holder = NULL;
    int64_t before_ms = lock->ok_ms;
    int rc = renew_session(lock, RENEW_TIMEOUT_MS, err);

    if (rc > 0)
        ds_fail(err, DS_E_TEMP, "its session has ended");
    if (rc)
        return rc;
    /* Anybody may have deleted the key; the session does not know. */
    if (read_key(lock, RENEW_TIMEOUT_MS, &holder, NULL, err) < 0) {
        lock->ok_ms = before_ms;
        return -1;
    }
    if (holder && strcmp(holder, lock->session) == 0)
        return 0;
    ds_fail(err, DS_E_TEMP, "its key was %s", holder ? "taken over" : "deleted");
    return 1;
}

static int check_key(struct ds_fleet_lock *lock, struct ds_error *err)
{
    int64_t now_ms = ds_clock_mono_ms();
    int rc;

    if (!lock->lost && now_ms - lock->ok_ms >= RENEW_MS && now_ms >= lock->due_ms) {
        lock->why = (struct ds_error)DS_ERROR_INIT;
        rc = renew(lock, &lock->why);
        if (rc < 0 && lock->why.code != DS_E_TEMP &&
            ds_consul_refresh_token(lock->consul))
            rc = renew(lock, &lock->why);
        now_ms = ds_clock_mono_ms();
        lock->due_ms = rc ? now_ms + RENEW_AGAIN_MS : 0;
        lock->lost = rc > 0 || (rc < 0 && lock->why.code != DS_E_TEMP);
    }
    if (lock->lost)
        return ds_fail(err, DS_E_TEMP, "the fleet's lock is lost: %s", lock->why.text);
    if (now_ms - lock->ok_ms > DS_SESSION_TTL_MS - DS_FLEET_LOCK_SAFE_MS)
        return ds_fail(err, DS_E_TEMP, "the fleet's lock cannot be kept: %s",
                       lock->why.text);
    return 0;
}

/* What cannot be given back ends by itself, later. */
static void give_back_key(struct ds_fleet_lock *lock)
{
    DS_AUTO(str) char *query = ds_xasprintf("release=%s", lock->session);
    DS_AUTO(str) char *path = ds_xasprintf("/v1/session/destroy/%s", lock->session);
    struct ds_consul_call release = {.method = "PUT",
                                     .path = lock->path_of_key,
                                     .query = query,
                                     .timeout_ms = FAREWELL_TIMEOUT_MS};
    struct ds_consul_call destroy = {
        .method = "PUT", .path = path, .timeout_ms = FAREWELL_TIMEOUT_MS};
    DS_AUTO(http_response) struct ds_http_response released;
    DS_AUTO(http_response) struct ds_http_response destroyed;
    struct ds_error ignored = DS_ERROR_INIT;

    ds_http_response_init(&released);
    ds_http_response_init(&destroyed);
    /* Released first: the key of a destroyed session is not free at once. */
    if (lock->held && ask(lock, &release, &released, &ignored) < 0 && !released.status)
        return;
    ds_ignore(ask(lock, &destroy, &destroyed, &ignored) < 0);
}

/* ---- both ---- */

struct ds_fleet_lock *ds_fleet_lock_take(const struct ds_config *config, const char *what,
                                         int64_t timeout_ms, struct ds_error *err)
{
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = ds_xcalloc(1, sizeof *lock);
    int rc;

    lock->file = (struct ds_file_lock)DS_FILE_LOCK_INIT;
    lock->value = make_value(what);
    rc = config->consul ? take_key(lock, config, timeout_ms, err)
                        : take_file(lock, config, timeout_ms, err);
    return rc < 0 ? NULL : ds_steal(&lock);
}

int ds_fleet_lock_check(struct ds_fleet_lock *lock, struct ds_error *err)
{
    return lock->consul ? check_key(lock, err) : check_file(lock, err);
}

void ds_fleet_lock_free(struct ds_fleet_lock *lock)
{
    struct ds_error ignored = DS_ERROR_INIT;

    if (!lock)
        return;
    if (lock->session)
        give_back_key(lock);
    if (lock->file.fd >= 0 && check_file(lock, &ignored) == 0)
        sign_file(lock->path, "");
    ds_file_unlock(&lock->file);
    ds_consul_free(lock->consul);
    free(lock->path_of_key);
    free(lock->session);
    free(lock->value);
    free(lock->path);
    free(lock);
}

void ds_auto_fleet_lock(struct ds_fleet_lock **lock)
{
    ds_fleet_lock_free(*lock);
}
