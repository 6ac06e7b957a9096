/* SPDX-License-Identifier: Apache-2.0 */
/* see yaml.h: the tree once it is there */
#include "dshard/yaml.h"

#include <stdlib.h>
#include <strings.h>

void ds_yaml_node_free(struct ds_yaml_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->n_items; i++)
        ds_yaml_node_free(node->items[i]);
    ds_yaml_node_free(node->key);
    free(node->items);
    free(node->text);
    free(node);
}

void ds_yaml_release(struct ds_yaml *yaml)
{
    ds_yaml_node_free(yaml->root);
    for (size_t i = 0; i < yaml->n_problems; i++)
        free(yaml->problems[i].text);
    free(yaml->problems);
    *yaml = (struct ds_yaml)DS_YAML_INIT;
}

void ds_auto_yaml(struct ds_yaml *yaml)
{
    ds_yaml_release(yaml);
}

const struct ds_yaml_node *ds_yaml_get(const struct ds_yaml_node *map, const char *key)
{
    if (!map || map->kind != DS_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n_items; i++) {
        if (strcmp(map->items[i]->key->text, key) == 0)
            return map->items[i];
    }
    return NULL;
}

static bool is_plain_word(const struct ds_yaml_node *node, const char *const *words,
                          size_t n)
{
    if (node->kind != DS_YAML_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(node->text, words[i]) == 0)
            return true;
    }
    return false;
}

bool ds_yaml_is_null(const struct ds_yaml_node *node)
{
    static const char *const words[] = {"", "~", "null"};

    return is_plain_word(node, words, DS_COUNT(words));
}

bool ds_yaml_is_bool(const struct ds_yaml_node *node)
{
    static const char *const words[] = {"yes", "no", "on", "off", "true", "false"};

    return is_plain_word(node, words, DS_COUNT(words));
}

bool ds_yaml_is_printable(const struct ds_yaml_node *node)
{
    const unsigned char *s = (const unsigned char *)node->text;

    for (size_t i = 0; i < node->len; i++) {
        if (s[i] < 0x20 || s[i] == 0x7F || (s[i] == 0xC2 && s[i + 1] < 0xA0))
            return false;
    }
    return true;
}
