/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - picks the registry that the configuration asks for. */
#include "dshard/discovery.h"

struct ds_registry *ds_registry_new(const struct ds_config *config, int64_t timeout_ms,
                                    struct ds_error *err)
{
    if (config->consul) {
        ds_fail(
            err, DS_E_FAILED,
            "'%s' has consul_server, and this dshard cannot do Consul yet: take the key "
            "out to run standalone",
            config->path);
        return NULL;
    }
    return ds_registry_local_new(config, timeout_ms);
}
