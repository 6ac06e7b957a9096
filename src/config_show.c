/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration, as YAML that can be loaded again and as JSON. */
#include "config_impl.h"
#include "dshard/num.h"

#include <inttypes.h>

/* ---- values; what both formats share ---- */

static void add_string(const char *s, struct ds_buf *out)
{
    ds_buf_add_json(out, s, strlen(s)); /* YAML reads JSON's strings */
}

/* Words that are no string in YAML and one in JSON. */
static void add_word(const char *word, bool json, struct ds_buf *out)
{
    if (json)
        add_string(word, out);
    else
        ds_buf_adds(out, word);
}

static void add_min_healthy(const struct ds_config *config, bool json, struct ds_buf *out)
{
    const char *quote = config->ring.min_healthy_is_percent && json ? "\"" : "";

    ds_buf_addf(out, "%s%u%s%s", quote, config->ring.min_healthy,
                config->ring.min_healthy_is_percent ? "%" : "", quote);
}

static void add_duration(int64_t ms, bool json, struct ds_buf *out)
{
    char text[DS_DURATION_TEXT_MAX];

    ds_duration_format(ms, text);
    add_word(text, json, out);
}

static void add_tags(const struct ds_config *config, struct ds_buf *out)
{
    ds_buf_addc(out, '[');
    for (size_t i = 0; i < config->consul_server.n_tags; i++) {
        ds_buf_adds(out, i ? ", " : "");
        add_string(config->consul_server.tags[i], out);
    }
    ds_buf_addc(out, ']');
}

static void add_secret_or_string(const struct ds_config_key *key, const char *value,
                                 struct ds_buf *out)
{
    if (!value)
        ds_buf_adds(out, "null");
    else
        add_string(key->flags & DS_CONFIG_SECRET ? DS_CONFIG_MASK : value, out);
}

static void add_value(const struct ds_config_key *key, const struct ds_config *config,
                      bool json, struct ds_buf *out)
{
    const void *field = ds_config_cfield(key, config);

    if (key->type == DS_CONFIG_TEXTS)
        add_tags(config, out);
    else if (key->type == DS_CONFIG_NUMBER)
        ds_buf_addf(out, "%u", *(const unsigned *)field);
    else if (key->type == DS_CONFIG_MIN_HEALTHY)
        add_min_healthy(config, json, out);
    else if (key->type == DS_CONFIG_GROUPS)
        add_word(key->choices[*(const enum ds_watch_groups *)field], json, out);
    else if (key->type == DS_CONFIG_DURATION_OFF && *(const int64_t *)field == 0)
        add_word("off", json, out);
    else if (key->type == DS_CONFIG_DURATION || key->type == DS_CONFIG_DURATION_OFF)
        add_duration(*(const int64_t *)field, json, out);
    else
        add_secret_or_string(key, *(char *const *)field, out);
}

/* False for a key that the file leaves out and that has no default. */
static bool is_set(const struct ds_config_key *key, const struct ds_config *config)
{
    return !ds_config_key_is_string(key) ||
           *(char *const *)ds_config_cfield(key, config) != NULL;
}

static bool is_item_key(const struct ds_config_key *key)
{
    return strstr(key->name, "[].") != NULL;
}

/* Keys of consul_server when there is no Consul. */
static bool is_off(const struct ds_config_key *key, const struct ds_config *config)
{
    return !config->consul && strncmp(key->name, "consul_server", 13) == 0;
}

/* ---- YAML ---- */

static void add_comment(const struct ds_config_key *key, const struct ds_config *config,
                        const char *indent, struct ds_buf *out)
{
    const char *preset = ds_config_key_preset(key, config->consul);

    ds_buf_addf(out, "%s# %s", indent, key->meaning);
    if (key->type != DS_CONFIG_MAP) {
        ds_buf_adds(out, " [");
        ds_config_key_expects(key, out);
        if (preset)
            ds_buf_addf(out, "; default %s", *preset ? preset : "\"\"");
        ds_buf_addc(out, ']');
    }
    ds_buf_addc(out, '\n');
}

static void add_yaml_servers(const struct ds_config *config, struct ds_buf *out)
{
    ds_buf_adds(out, "\n");
    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        const struct ds_server *server = &config->pushgateway.servers[i];

        ds_buf_adds(out, server->weight == 1 ? "    - " : "    - {addr: ");
        add_string(server->address, out);
        if (server->weight != 1)
            ds_buf_addf(out, ", weight: %u}", server->weight);
        ds_buf_addc(out, '\n');
    }
}

static void add_yaml_key(const struct ds_config_key *key, const struct ds_config *config,
                         struct ds_buf *out)
{
    const char *leaf = ds_config_key_leaf(key);
    const char *indent = leaf == key->name ? "" : "  ";

    add_comment(key, config, indent, out);
    if (key->type == DS_CONFIG_MAP) {
        ds_buf_addf(out, "%s%s:\n", indent, leaf);
    } else if (!is_set(key, config)) {
        ds_buf_addf(out, "%s# %s is not set: %s\n", indent, leaf, key->absent);
    } else if (key->type == DS_CONFIG_SERVERS) {
        ds_buf_addf(out, "%s%s:", indent, leaf);
        add_yaml_servers(config, out);
    } else {
        ds_buf_addf(out, "%s%s: ", indent, leaf);
        add_value(key, config, false, out);
        ds_buf_addc(out, '\n');
    }
}

static void show_yaml(const struct ds_config *config, struct ds_buf *out)
{
    ds_buf_adds(out, "# What ");
    ds_buf_add_quoted(out, config->path, strlen(config->path));
    ds_buf_addf(out, " means with all defaults; secrets are %s.\n", DS_CONFIG_MASK);
    if (!config->consul)
        ds_buf_adds(out, "# consul_server is not set: standalone, dshard checks the "
                         "servers itself\n");
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];

        if (!is_item_key(key) && !is_off(key, config))
            add_yaml_key(key, config, out);
    }
}

/* ---- JSON ---- */

static void add_json_servers(const struct ds_config *config, struct ds_buf *out)
{
    ds_buf_addc(out, '[');
    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        ds_buf_adds(out, i ? ", {\"addr\": " : "{\"addr\": ");
        add_string(config->pushgateway.servers[i].address, out);
        ds_buf_addf(out, ", \"weight\": %u}", config->pushgateway.servers[i].weight);
    }
    ds_buf_addc(out, ']');
}

static void add_json_section(const char *section, const struct ds_config *config,
                             struct ds_buf *out)
{
    const char *separator = *section ? "" : ", ";

    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];

        if (!ds_config_key_is_in(key, section))
            continue;
        ds_buf_adds(out, separator);
        add_string(ds_config_key_leaf(key), out);
        ds_buf_adds(out, ": ");
        separator = ", ";
        if (is_off(key, config)) {
            ds_buf_adds(out, "null");
        } else if (key->type == DS_CONFIG_MAP) {
            ds_buf_addc(out, '{');
            add_json_section(key->name, config, out);
            ds_buf_addc(out, '}');
        } else if (key->type == DS_CONFIG_SERVERS) {
            add_json_servers(config, out);
        } else {
            add_value(key, config, true, out);
        }
    }
}

void ds_config_show(const struct ds_config *config, bool json, struct ds_buf *out)
{
    if (!json) {
        show_yaml(config, out);
        return;
    }
    ds_buf_adds(out, "{\"format\": 1, \"file\": ");
    add_string(config->path, out);
    add_json_section("", config, out);
    ds_buf_adds(out, "}\n");
}

size_t ds_config_min_healthy(const struct ds_config *config, size_t n_servers)
{
    if (!config->ring.min_healthy_is_percent)
        return config->ring.min_healthy;
    return (n_servers * config->ring.min_healthy + 99) / 100;
}
