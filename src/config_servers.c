/* SPDX-License-Identifier: Apache-2.0 */
/* The list of servers: texts, or maps of addr and weight. */
#include "config_impl.h"

#include <stdlib.h>

static const char SECTION[] = "pushgateway";
static const char ITEM[] = "pushgateway.servers[]";

static const char *address_hint(const char *text)
{
    if (strchr(text, ','))
        return "each server is an item of its own";
    if (strchr(text, ' '))
        return "there is a space in it";
    if (strstr(text, "://"))
        return "pushgateway.scheme says http or https for all servers";
    if (!text[strspn(text, "0123456789")])
        return "a port alone is no server";
    return NULL;
}

/* True when the server's name could be read. */
static bool read_address(struct ds_config_reader *r, struct ds_server *server,
                         const struct ds_yaml_node *node)
{
    const struct ds_config_key *key = ds_config_key_find(ITEM, "addr");
    struct ds_error err = DS_ERROR_INIT;
    const char *text = ds_config_read_text(r, key, node);

    if (!text)
        return false;
    if (ds_address_parse(server->address, text, r->config->pushgateway.port, &err) < 0) {
        ds_config_complain_key(r, key, node->start, err.text, address_hint(text));
        return false;
    }
    return true;
}

/* "10.0.0.1: 9092": the space makes a map of it. */
static bool is_split_address(const struct ds_yaml_node *map)
{
    const struct ds_yaml_node *port = map->n_items == 1 ? map->items[0] : NULL;

    return port && port->kind == DS_YAML_SCALAR && port->len &&
           !port->text[strspn(port->text, "0123456789")] &&
           !ds_config_key_find(ITEM, port->key->text);
}

static bool read_map(struct ds_config_reader *r, struct ds_server *server,
                     const struct ds_yaml_node *map, struct ds_yaml_mark *mark)
{
    const struct ds_yaml_node *addr = ds_yaml_get(map, "addr");
    const struct ds_config_key *weight = ds_config_key_find(ITEM, "weight");

    if (is_split_address(map)) {
        ds_config_complain(r, map->start,
                           "pushgateway.servers[]: a space behind the ':' makes a map of "
                           "this: host:port is expected");
        return false;
    }
    for (size_t i = 0; i < map->n_items; i++) {
        const char *name = map->items[i]->key->text;

        if (strcmp(name, "weight") == 0)
            ds_config_read_scalar(r, weight, server, map->items[i]);
        else if (strcmp(name, "addr") != 0)
            ds_config_complain_unknown(r, ITEM, map->items[i]);
    }
    if (!addr) {
        ds_config_complain(r, map->start,
                           "pushgateway.servers[].addr is missing: host or host:port is "
                           "expected");
        return false;
    }
    *mark = addr->start;
    return read_address(r, server, addr);
}

/* Complains when a server with this name is there already; marks[] is beside servers. */
static bool is_twin(struct ds_config_reader *r, const struct ds_server *server,
                    struct ds_yaml_mark mark, const struct ds_yaml_mark *marks)
{
    const struct ds_server *servers = r->config->pushgateway.servers;

    for (size_t i = 0; i < r->config->pushgateway.n_servers; i++) {
        if (!ds_address_equal(servers[i].address, server->address))
            continue;
        ds_config_complain(r, mark,
                           "pushgateway.servers[].addr: '%s' is listed already, in line "
                           "%u, column %u: each server once is expected",
                           server->address, marks[i].line, marks[i].column);
        return true;
    }
    return false;
}

static void ds_auto_marks(struct ds_yaml_mark **marks)
{
    free(*marks);
}

static void read_items(struct ds_config_reader *r, const struct ds_yaml_node *list)
{
    struct ds_config *config = r->config;
    DS_AUTO(marks)
    struct ds_yaml_mark *marks = ds_xcalloc(list->n_items, sizeof *marks);

    config->pushgateway.servers =
        ds_xcalloc(list->n_items, sizeof config->pushgateway.servers[0]);
    for (size_t i = 0; i < list->n_items; i++) {
        const struct ds_yaml_node *item = list->items[i];
        struct ds_server server = {"", 0};
        struct ds_yaml_mark mark = item->start;
        bool read;

        ds_config_preset(&server, DS_CONFIG_OF_SERVER, config->consul);
        read = item->kind == DS_YAML_MAP ? read_map(r, &server, item, &mark)
                                         : read_address(r, &server, item);
        if (!read || is_twin(r, &server, mark, marks))
            continue;
        marks[config->pushgateway.n_servers] = mark;
        config->pushgateway.servers[config->pushgateway.n_servers++] = server;
    }
}

void ds_config_read_servers(struct ds_config_reader *r)
{
    const struct ds_config_key *key = ds_config_key_find(SECTION, "servers");
    const struct ds_yaml_node *list = ds_config_node(r, SECTION, "servers");

    /* With an unknown key that was probably meant to be this one, it is not missing. */
    if (!list || list->bad || strcmp(list->key->text, "servers") != 0)
        return;
    if (list->kind != DS_YAML_LIST)
        ds_config_complain_kind(r, key, list);
    else if (list->n_items == 0)
        ds_config_complain_key(r, key, list->start, "the list is empty", NULL);
    else if (list->n_items > (size_t)key->max)
        ds_config_complain_key(r, key, list->start, "the list is too long", NULL);
    else
        read_items(r, list);
}
