/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h - what every unit test includes.  Names of tests are sentences:
 * lookup_wraps_past_the_last_point.  Compare integers with assert_int_equal, so that a
 * failure prints them.  TEST_DATA_DIR is tests/data, found from the top of the tree.
 */
#ifndef DSHARD_TEST_H
#define DSHARD_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dshard/base.h"
#include "dshard/error.h"

#define TEST_DATA_DIR "tests/data"

/* For calls that must work: shows the error's own words when one does not. */
#define assert_ok(call, err)                                                             \
    do {                                                                                 \
        if ((call) < 0)                                                                  \
            fail_msg("%s: %s", #call, (err)->text);                                      \
    } while (0)

#endif
