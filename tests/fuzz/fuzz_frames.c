/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from a web server, read as the transport reads them: the first byte is how
 * many come at a time. How they come must make no difference, management records get an
 * answer that is one, and no head is longer than it may be. `make fuzz` runs it under
 * libFuzzer; tests/unit/test_frames_fuzz.c replays the corpus.
 */
#include "../../fcgi/frames.h"
#include "../../fcgi/management.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_frames: %s\n", what);
    abort();
}

static void check_answer(const uint8_t *record, size_t len)
{
    unsigned char out[DS_MANAGEMENT_ANSWER_MAX];
    size_t n = ds_management_answer(record, len, SIZE_MAX, out);

    check(n <= sizeof out, "the answer is longer than there is room for");
    check(!n || (out[0] == 1 && (out[1] == 10 || out[1] == 11) && !out[2] && !out[3] &&
                 !out[4] && out[5] == n - DS_FRAMES_RECORD_HEADER),
          "the answer is no record");
}

/* Up to the end of a request, of the bytes, or of good ones; how many it used. */
static size_t scan(struct ds_frames *frames, const uint8_t *data, size_t size,
                   size_t portion)
{
    size_t at = 0, begin = 0;

    ds_frames_init(frames);
    while (at < size && frames->stage < DS_FRAMES_DONE) {
        size_t len = size - at < portion ? size - at : portion;
        size_t used = ds_frames_feed(frames, data + at, len);

        check(used && used <= len, "nothing was used, or more than there is");
        at += used;
        check(frames->stage == DS_FRAMES_BAD || frames->head_len <= DS_FRAMES_HEAD_MAX,
              "a head is too long");
        if (frames->stage != DS_FRAMES_ASKED)
            continue;
        check_answer(data + begin, at - begin);
        begin = at;
        ds_frames_init(frames);
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ds_frames whole, parts;
    size_t used, used_in_parts;

    if (!size)
        return 0;
    used = scan(&whole, data + 1, size - 1, SIZE_MAX);
    used_in_parts = scan(&parts, data + 1, size - 1, data[0] ? data[0] : 256);
    check(whole.stage == parts.stage, "portions make a difference");
    /* How far a bad one is read does not matter. */
    check(whole.stage == DS_FRAMES_BAD || used == used_in_parts,
          "portions make a difference to where it ends");
    return 0;
}
