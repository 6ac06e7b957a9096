/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - who we are, in words that people and other processes understand.
 */
#ifndef DSHARD_PROCESS_H
#define DSHARD_PROCESS_H

#include "dshard/base.h"

/* What this machine calls itself, without asking any other; new, NULL when it has no
   name. */
char *ds_process_host(void) DS_NODISCARD;

/* "host:pid" of this process, new; "?:pid" when the host has no name. */
char *ds_process_name(void) DS_NODISCARD;

/* Whether the process of that name has ended; false when it cannot be told: another
   host, no name of that form, or its number is somebody else's by now. */
bool ds_process_is_dead(const char *name);

#endif
