/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - picks the registry and the feed that the configuration asks for. */
#include "dshard/discovery.h"

struct ds_registry *ds_registry_new(const struct ds_config *config, int64_t timeout_ms,
                                    struct ds_error *err)
{
    if (config->consul)
        return ds_registry_consul_new(config, timeout_ms, err);
    return ds_registry_local_new(config, timeout_ms);
}

struct ds_feed *ds_feed_new(const struct ds_config *config, struct ds_http_loop *loop,
                            struct ds_error *err)
{
    if (config->consul)
        return ds_feed_consul_new(config, loop, err);
    return ds_feed_probe_new(config, loop, err);
}
