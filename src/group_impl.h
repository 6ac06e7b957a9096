/* SPDX-License-Identifier: Apache-2.0 */
/* group_impl.h - what the parts that read a group share; private to group. */
#ifndef DSHARD_GROUP_IMPL_H
#define DSHARD_GROUP_IMPL_H

#include "dshard/group.h"
#include "group_json.h"

/* Reads the object of labels that comes next: sets identity, hash and flags.  With
   DS_GROUP_GUESSED among the flags they are those of a series, which has instance=""
   where the group has no instance. */
int ds_group_identify(struct ds_group *group, struct ds_json *json) DS_NODISCARD;

#endif
