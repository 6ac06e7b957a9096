/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pushgateway.h - what a Pushgateway says about itself and its groups.
 * Source of the formats: Pushgateway 1.5.1, api/v1.
 */
#ifndef DSHARD_PUSHGATEWAY_H
#define DSHARD_PUSHGATEWAY_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"

/* How many groups a server holds.  DS_E_NET when it cannot be reached, DS_E_PEER or
   DS_E_FORMAT when its answer is none. */
int ds_pushgateway_count_groups(const struct ds_config *config, const char *address,
                                int64_t timeout_ms, size_t *n, struct ds_error *err)
    DS_NODISCARD;

#endif
