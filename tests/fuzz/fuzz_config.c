/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reading of a configuration.  What is refused has complaints and leaves
 * nothing behind; what is accepted is shown as YAML, and that loads and is shown again in
 * the same words.  `make fuzz` runs it under libFuzzer, tests/unit/test_config_fuzz.c
 * replays the corpus and the test data without it.
 */
#include "dshard/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_MAX = 8 * DS_CONFIG_BYTES_MAX };

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_refused(const struct ds_config *config, const struct ds_buf *complaints,
                          const struct ds_error *err)
{
    static const struct ds_config fresh;

    must(err->code == DS_E_CONFIG && complaints->len && !complaints->over);
    must(memcmp(config, &fresh, sizeof fresh) == 0);
}

static void check_accepted(const struct ds_config *config)
{
    DS_AUTO(buf) struct ds_buf shown = DS_BUF_INIT(OUTPUT_MAX);
    DS_AUTO(buf) struct ds_buf shown_again = DS_BUF_INIT(OUTPUT_MAX);
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(OUTPUT_MAX);
    DS_AUTO(config) struct ds_config again = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_config_show(config, false, &shown);
    must(ds_config_parse(&again, config->path, shown.data, shown.len, &complaints,
                         &err) == 0);
    ds_config_show(&again, false, &shown_again);
    must(strcmp(shown.data, shown_again.data) == 0);
    ds_config_show(config, true, &complaints);
    ds_config_hints(config, &complaints);
    must(!shown.over && !complaints.over);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(OUTPUT_MAX);
    struct ds_error err = DS_ERROR_INIT;

    if (size > DS_CONFIG_BYTES_MAX)
        return 0;
    if (ds_config_parse(&config, "f.yml", (const char *)data, size, &complaints, &err) <
        0)
        check_refused(&config, &complaints, &err);
    else
        check_accepted(&config);
    return 0;
}
