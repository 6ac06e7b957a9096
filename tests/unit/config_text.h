/* SPDX-License-Identifier: Apache-2.0 */
/* config_text.h - a configuration from its text, for tests of what goes by one. */
#ifndef DSHARD_TEST_CONFIG_TEXT_H
#define DSHARD_TEST_CONFIG_TEXT_H

#include "dshard/config.h"

/* Initialises it, too.  A text that is none fails the test. */
DS_PRINTF(2, 3)
static inline void config_from(struct ds_config *config, const char *fmt, ...)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(10000);
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(10000);
    struct ds_error err = DS_ERROR_INIT;
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    assert_false(text.over);
    ds_config_init(config);
    if (ds_config_parse(config, "test.yml", text.data, text.len, &complaints, &err) < 0)
        fail_msg("%s%s", complaints.data, err.text);
}

#endif
