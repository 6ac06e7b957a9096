/* SPDX-License-Identifier: Apache-2.0 */
/* What no single key can be blamed for. */
#include "config_impl.h"
#include "dshard/ring.h"

#include <inttypes.h>

static const struct ds_yaml_mark TOP = {1, 1};

static void check_servers_there(struct ds_config_reader *r)
{
    const struct ds_yaml_node *section = ds_config_node(r, "", "pushgateway");

    if (section && section->kind != DS_YAML_MAP)
        return; /* it has been said that this is no map */
    if (section && strcmp(section->key->text, "pushgateway") != 0)
        return; /* misspelled, which has been said */
    if (!ds_config_node(r, "pushgateway", "servers"))
        ds_config_complain(r, section ? section->key->start : TOP,
                           "pushgateway.servers is missing: a list of 1 to %d servers is "
                           "expected",
                           DS_SERVERS_MAX);
}

/* Complains when the file has the key `has` and not the key `wants`. */
static void check_pair(struct ds_config_reader *r, const char *section, const char *has,
                       const char *wants)
{
    const struct ds_yaml_node *there = ds_config_node(r, section, has);

    if (!there || ds_yaml_is_null(there) || ds_config_node(r, section, wants))
        return;
    ds_config_complain(r, there->key->start, "%s.%s stands alone: %s is expected with it",
                       section, has, wants);
}

static void check_token(struct ds_config_reader *r)
{
    const struct ds_yaml_node *token = ds_config_node(r, "consul_server", "token");
    const struct ds_yaml_node *file = ds_config_node(r, "consul_server", "token_file");

    if (token && file)
        ds_config_complain(r, file->key->start,
                           "consul_server has both token (line %u) and token_file: one "
                           "of them is expected",
                           token->key->start.line);
}

static void check_min_healthy(struct ds_config_reader *r)
{
    const struct ds_config *config = r->config;
    const struct ds_yaml_node *node = ds_config_node(r, "ring", "min_healthy");
    size_t n = config->pushgateway.n_servers;

    /* Consul may know more servers than the file lists. */
    if (!node || config->consul || config->ring.min_healthy_is_percent || !n ||
        config->ring.min_healthy <= n)
        return;
    ds_config_complain(r, node->start,
                       "ring.min_healthy: '%u' is more than there are servers and would "
                       "freeze the ring for good: at most %zu is expected",
                       config->ring.min_healthy, n);
}

static void check_points(struct ds_config_reader *r)
{
    const struct ds_config *config = r->config;
    const struct ds_yaml_node *node = ds_config_node(r, "ring", "replicas");
    const struct ds_yaml_node *servers = ds_config_node(r, "pushgateway", "servers");
    uint64_t points = 0;

    for (size_t i = 0; i < config->pushgateway.n_servers; i++)
        points += config->pushgateway.servers[i].weight;
    points *= config->ring.replicas;
    if (points <= DS_POINTS_MAX)
        return;
    ds_config_complain(r, node ? node->start : servers->start,
                       "ring.replicas times the weights of all servers makes %" PRIu64
                       " points: at most %d are expected",
                       points, DS_POINTS_MAX);
}

void ds_config_check(struct ds_config_reader *r)
{
    check_servers_there(r);
    check_pair(r, "consul_server", "password", "username");
    check_pair(r, "pushgateway", "username", "password_file");
    check_pair(r, "pushgateway", "password_file", "username");
    check_token(r);
    check_min_healthy(r);
    check_points(r);
}
