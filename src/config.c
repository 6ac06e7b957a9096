/* SPDX-License-Identifier: Apache-2.0 */
/* see config.h */
#include "config_impl.h"
#include "dshard/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PASSWORD_MAX = 4096 };

enum { COMPLAINTS_SHOWN_MAX = 100 };

void ds_config_init(struct ds_config *config)
{
    memset(config, 0, sizeof *config);
}

void ds_config_release(struct ds_config *config)
{
    char **tags = config->consul_server.tags;

    for (size_t i = 0; i < config->consul_server.n_tags; i++)
        free(tags[i]);
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];

        if (ds_config_key_is_string(key))
            ds_set_str(ds_config_field(key, config), NULL);
    }
    free(tags);
    free(config->pushgateway.servers);
    free(config->path);
    ds_config_init(config);
}

void ds_auto_config(struct ds_config *config)
{
    ds_config_release(config);
}

char *ds_config_find(const char *option, struct ds_error *err)
{
    static const char *const places[] = {"./dshard.yml", "/etc/dshard/dshard.yml"};
    const char *from_env = getenv("DSHARD_CONFIG");

    if (option)
        return ds_xstrdup(option);
    if (from_env && *from_env)
        return ds_xstrdup(from_env);
    for (size_t i = 0; i < DS_COUNT(places); i++) {
        if (access(places[i], F_OK) == 0)
            return ds_xstrdup(places[i]);
    }
    ds_fail(err, DS_E_CONFIG,
            "there is no configuration: no --config, no $DSHARD_CONFIG, no '%s' and no "
            "'%s'",
            places[0], places[1]);
    return NULL;
}

/* ---- complaints ---- */

static int by_place(const void *a, const void *b)
{
    const struct ds_config_complaint *x = a, *y = b;

    if (x->mark.line != y->mark.line)
        return x->mark.line < y->mark.line ? -1 : 1;
    if (x->mark.column != y->mark.column)
        return x->mark.column < y->mark.column ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static int report(struct ds_config_reader *r, const char *name, struct ds_buf *out,
                  struct ds_error *err)
{
    size_t n = r->n_complaints;

    if (!n)
        return 0;
    qsort(r->complaints, n, sizeof r->complaints[0], by_place);
    for (size_t i = 0; i < n && i < COMPLAINTS_SHOWN_MAX; i++)
        ds_buf_addf(out, "%s:%u:%u: %s\n", name, r->complaints[i].mark.line,
                    r->complaints[i].mark.column, r->complaints[i].text);
    return ds_fail(err, DS_E_CONFIG, "%zu error%s in '%s'%s", n, n == 1 ? "" : "s", name,
                   n > COMPLAINTS_SHOWN_MAX ? ", of which 100 are shown" : "");
}

static void ds_auto_reader(struct ds_config_reader *r)
{
    for (size_t i = 0; i < r->n_complaints; i++)
        free(r->complaints[i].text);
    free(r->complaints);
}

/* ---- loading ---- */

/* What YAML itself has to say; without a root there is nothing more to read. */
static const struct ds_yaml_node *take_root(struct ds_config_reader *r,
                                            const struct ds_yaml *yaml)
{
    const struct ds_yaml_node *root = yaml->root;
    struct ds_yaml_mark top = {1, 1};

    for (size_t i = 0; i < yaml->n_problems; i++)
        ds_config_complain(r, yaml->problems[i].mark, "%s", yaml->problems[i].text);
    if (root && root->kind == DS_YAML_MAP)
        return root;
    if (root && !ds_yaml_is_null(root))
        ds_config_complain(r, root->start,
                           "this is no configuration: \"key: value\" on "
                           "each line is expected");
    else if (!r->n_complaints)
        ds_config_complain(r, top,
                           "the file is empty: at least pushgateway with its "
                           "servers is expected");
    return NULL;
}

int ds_config_parse(struct ds_config *config, const char *name, const char *text,
                    size_t len, struct ds_buf *complaints, struct ds_error *err)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    DS_AUTO(reader) struct ds_config_reader r = {.config = config};
    const struct ds_yaml_node *root;

    ds_ignore(ds_yaml_parse(&yaml, text, len) <
              0); /* take_root() looks at the problems */
    root = take_root(&r, &yaml);
    if (root) {
        config->consul = ds_yaml_get(root, "consul_server");
        config->path = ds_xstrdup(name);
        ds_config_preset(config, DS_CONFIG_OF_FILE, config->consul);
        ds_config_read_map(&r, "", root);
        ds_config_read_servers(&r);
        ds_config_check(&r);
    }
    if (report(&r, name, complaints, err) < 0) {
        ds_config_release(config);
        return -1;
    }
    return 0;
}

int ds_config_load(struct ds_config *config, const char *path, struct ds_buf *complaints,
                   struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);

    if (ds_file_read(&text, path, err) < 0) {
        err->code = DS_E_CONFIG;
        return ds_wrap(err, "reading the configuration");
    }
    return ds_config_parse(config, path, text.data, text.len, complaints, err);
}

bool ds_config_lists(const struct ds_config *config, const char *address)
{
    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        if (ds_address_equal(config->pushgateway.servers[i].address, address))
            return true;
    }
    return false;
}

int ds_config_read_password(const struct ds_config *config, char **out,
                            struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(PASSWORD_MAX);

    *out = NULL;
    if (!config->pushgateway.password_file)
        return 0;
    if (ds_file_read(&text, config->pushgateway.password_file, err) < 0) {
        err->code = DS_E_CONFIG;
        return ds_wrap(err, "pushgateway.password_file");
    }
    *out = ds_xstrndup(text.data, strcspn(text.data, "\r\n"));
    explicit_bzero(text.data, text.len);
    return 0;
}
