/* SPDX-License-Identifier: Apache-2.0 */
/* see pass.h */
#include "dshard/pass.h"

#include <jansson.h>
#include <stdlib.h>

void ds_pass_release(struct ds_pass *pass)
{
    for (size_t i = 0; i < pass->n_refusals; i++) {
        free(pass->refusals[i].group);
        free(pass->refusals[i].from);
        free(pass->refusals[i].to);
        free(pass->refusals[i].why);
    }
    for (size_t i = 0; i < pass->n_servers; i++)
        free(pass->servers[i].why);
    free(pass->refusals);
    free(pass->servers);
    *pass = (struct ds_pass){0};
}

void ds_auto_pass(struct ds_pass *pass)
{
    ds_pass_release(pass);
}

/* Unknown keys are passed over: the other one may be a later dshard for a while. */
static int unpack_failed(const json_error_t *why, struct ds_error *err)
{
    return ds_fail(err, DS_E_FORMAT, "%s", why->text);
}

/* {"key": number}: a size, or a time. */
static int take_number(const json_t *root, const char *key, int64_t *out,
                       struct ds_error *err)
{
    const json_t *value = json_object_get(root, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return ds_fail(err, DS_E_FORMAT, "\"%s\" wants a whole number", key);
    *out = json_integer_value(value);
    return 0;
}

static int take_numbers(struct ds_pass *pass, const json_t *root, struct ds_error *err)
{
    const struct {
        const char *key;
        size_t *out;
    } sizes[] = {
        {"groups", &pass->n_groups}, {"misplaced", &pass->n_misplaced},
        {"copies", &pass->n_copies}, {"waiting", &pass->n_waiting},
        {"left", &pass->n_left},     {"deleted", &pass->n_deleted},
        {"merged", &pass->n_merged}, {"copied", &pass->n_copied},
        {"raced", &pass->n_raced},   {"undone", &pass->n_undone},
    };

    for (size_t i = 0; i < DS_COUNT(sizes); i++) {
        int64_t number;

        if (take_number(root, sizes[i].key, &number, err) < 0)
            return -1;
        *sizes[i].out = (size_t)number;
    }
    if (take_number(root, "pause_ms", &pass->pause_ms, err) < 0)
        return -1;
    return take_number(root, "due_at", &pass->due_at_ms, err);
}

static int take_refusals(struct ds_pass *pass, const json_t *list, struct ds_error *err)
{
    size_t n = json_array_size(list);

    pass->refusals = ds_xcalloc(n, sizeof *pass->refusals);
    for (size_t i = 0; i < n; i++) {
        struct ds_pass_refusal *refusal = &pass->refusals[i];
        const char *group, *from, *to, *why;
        json_error_t trouble;

        if (json_unpack_ex(json_array_get(list, i), &trouble, 0, "{ss,ss,ss,ss}", "group",
                           &group, "from", &from, "to", &to, "why", &why) < 0)
            return unpack_failed(&trouble, err);
        refusal->group = ds_xstrdup(group);
        refusal->from = ds_xstrdup(from);
        refusal->to = ds_xstrdup(to);
        refusal->why = ds_xstrdup(why);
        pass->n_refusals++;
    }
    return 0;
}

static int take_server(struct ds_pass_server *server, json_t *item, struct ds_error *err)
{
    const char *address, *why = NULL;
    json_error_t trouble;
    int64_t n_copies, n_ties;
    int reached;

    if (json_unpack_ex(item, &trouble, 0, "{ss,sb,s?s}", "address", &address, "reached",
                       &reached, "why", &why) < 0)
        return unpack_failed(&trouble, err);
    if (strlen(address) >= sizeof server->address)
        return ds_fail(err, DS_E_FORMAT, "\"address\" is longer than %zu bytes",
                       sizeof server->address - 1);
    if (take_number(item, "copies", &n_copies, err) < 0 ||
        take_number(item, "ties", &n_ties, err) < 0)
        return -1;
    memcpy(server->address, address, strlen(address) + 1);
    server->reached = reached;
    server->n_copies = (size_t)n_copies;
    server->n_ties = (size_t)n_ties;
    server->why = why && *why ? ds_xstrdup(why) : NULL;
    return 0;
}

static int take_servers(struct ds_pass *pass, const json_t *list, struct ds_error *err)
{
    size_t n = json_array_size(list);

    pass->servers = ds_xcalloc(n, sizeof *pass->servers);
    for (size_t i = 0; i < n; i++) {
        if (take_server(&pass->servers[i], json_array_get(list, i), err) < 0)
            return -1;
        pass->n_servers++;
    }
    return 0;
}

static int take_all(struct ds_pass *pass, json_t *root, struct ds_error *err)
{
    json_error_t trouble;
    json_t *refused, *servers;
    int format, done;

    if (json_unpack_ex(root, &trouble, 0, "{si}", "format", &format) < 0)
        return unpack_failed(&trouble, err);
    if (format != DS_PASS_FORMAT)
        return ds_fail(err, DS_E_NEWER, "its format is %d, known is %d", format,
                       DS_PASS_FORMAT);
    if (json_unpack_ex(root, &trouble, 0, "{sb,so,so}", "done", &done, "refused",
                       &refused, "servers", &servers) < 0)
        return unpack_failed(&trouble, err);
    pass->done = done;
    if (!json_is_array(refused) || !json_is_array(servers))
        return ds_fail(err, DS_E_FORMAT, "\"refused\" and \"servers\" want lists");
    if (take_numbers(pass, root, err) < 0 || take_refusals(pass, refused, err) < 0)
        return -1;
    return take_servers(pass, servers, err);
}

int ds_pass_parse(struct ds_pass *pass, const char *text, size_t len,
                  struct ds_error *err)
{
    json_error_t trouble;
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &trouble);
    int rc;

    *pass = (struct ds_pass){0};
    if (!root)
        return ds_fail(err, DS_E_FORMAT, "line %d: %s", trouble.line, trouble.text);
    rc = take_all(pass, root, err);
    json_decref(root);
    if (rc < 0)
        ds_pass_release(pass);
    return rc;
}

bool ds_pass_did_something(const struct ds_pass *pass)
{
    return pass->n_deleted || pass->n_merged || pass->n_copied;
}

const struct ds_pass_server *ds_pass_find(const struct ds_pass *pass, const char *address)
{
    for (size_t i = 0; i < pass->n_servers; i++) {
        if (strcmp(pass->servers[i].address, address) == 0)
            return &pass->servers[i];
    }
    return NULL;
}
