/* SPDX-License-Identifier: Apache-2.0 */
#include "dshard/discovery.h"
struct ds_registry *ds_registry_consul_new(const struct ds_config *config,
                                           struct ds_error *err)
{
    ds_fail(err, DS_E_FAILED, "%s: todo", config->path);
    return NULL;
}
