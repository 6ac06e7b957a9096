/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the editing of a configuration: the first byte says which servers to remove and
 * add, the rest is the file.  What is refused leaves nothing; what comes out loads with
 * exactly the wanted servers, and is the file itself when there was nothing to do.
 * `make fuzz` runs it under libFuzzer, tests/unit/test_confedit_fuzz.c replays corpus and
 * test data without it.
 */
#include "dshard/confedit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static int load(struct ds_config *config, const char *text, size_t len)
{
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(8 * DS_CONFIG_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;

    ds_config_init(config);
    return ds_config_parse(config, "f.yml", text, len, &complaints, &err);
}

static void check_servers(const struct ds_config *config, const struct ds_server *wanted,
                          size_t n)
{
    must(config->pushgateway.n_servers == n);
    for (size_t i = 0; i < n; i++) {
        must(strcmp(config->pushgateway.servers[i].address, wanted[i].address) == 0);
        must(config->pushgateway.servers[i].weight == wanted[i].weight);
    }
}

/* Removes those whose bit is set, and adds one or two. */
static void try_edit(const struct ds_config *config, const char *text, size_t len,
                     uint8_t how)
{
    static const struct ds_server fresh[] = {{"new-1:1", 1}, {"[fd00::1]:2", 5}};
    size_t n = config->pushgateway.n_servers, n_wanted = 0;
    struct ds_server *removed = ds_xcalloc(n, sizeof *removed);
    struct ds_server *wanted = ds_xcalloc(n + 2, sizeof *wanted);
    struct ds_confedit edit = {.add = fresh, .n_add = how >> 6, .remove = removed};
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);
    DS_AUTO(config) struct ds_config after = {0};
    struct ds_error err = DS_ERROR_INIT;
    bool changed;

    if (edit.n_add > 2)
        edit.n_add = 0;
    for (size_t i = 0; i < n; i++) {
        if (how >> i % 6 & 1)
            removed[edit.n_remove++] = config->pushgateway.servers[i];
        else
            wanted[n_wanted++] = config->pushgateway.servers[i];
    }
    for (size_t i = 0; i < edit.n_add && !ds_config_lists(config, fresh[i].address); i++)
        wanted[n_wanted++] = fresh[i];
    if (ds_confedit_text("f.yml", text, len, &edit, &out, &changed, &err) < 0) {
        must(err.code != DS_OK && err.text[0] && !out.len);
    } else {
        must(changed == (out.len != len || memcmp(out.data, text, len) != 0));
        must(changed == (edit.n_remove || n_wanted != n));
        must(load(&after, out.data, out.len) == 0);
        if (!ds_config_lists(config, fresh[0].address) &&
            !ds_config_lists(config, fresh[1].address))
            check_servers(&after, wanted, n_wanted);
    }
    free(removed);
    free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(config) struct ds_config config = {0};
    const char *text = (const char *)data + 1;

    if (size < 1 || size > DS_CONFIG_BYTES_MAX)
        return 0;
    if (load(&config, text, size - 1) == 0)
        try_edit(&config, text, size - 1, data[0]);
    return 0;
}
