/* SPDX-License-Identifier: Apache-2.0 */
/* state_text.h - state files to test with, as they are and changed on purpose. */
#ifndef DSHARD_TEST_STATE_TEXT_H
#define DSHARD_TEST_STATE_TEXT_H

#include "../../src/state_json.h"
#include "dshard/file.h"
#include "dshard/state.h"

/* Written by hand (by a program that knows only doc/state-format.md), byte for byte what
   ds_state_format() writes: one with everything in it, one with nothing. */
#define STATE_FULL  TEST_DATA_DIR "/state/full.json"
#define STATE_EMPTY TEST_DATA_DIR "/state/empty.json"

static inline void read_text(struct ds_buf *out, const char *path)
{
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_init(out, DS_STATE_BYTES_MAX + 100);
    assert_ok(ds_file_read(out, path, &err), &err);
}

/* New. */
static inline json_t *load_json(const char *path)
{
    json_error_t json_err;
    json_t *root = json_load_file(path, 0, &json_err);

    if (!root)
        fail_msg("%s: %s", path, json_err.text);
    return root;
}

/* As a file's text, with the checksum made right again. */
static inline void dump_json(json_t *root, struct ds_buf *out)
{
    char checksum[DS_DIGEST_MAX];
    char *text;

    json_object_del(root, "checksum");
    ds_state_checksum(root, checksum);
    json_object_set_new(root, "checksum", json_string(checksum));
    text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    ds_buf_init(out, DS_STATE_BYTES_MAX + 100);
    ds_buf_adds(out, text);
    ds_buf_addc(out, '\n');
    free(text);
}

#endif
