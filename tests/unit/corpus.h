/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corpus.h - a fuzzer's checks on its corpus and on what is near it, for machines without
 * libFuzzer.  Include it behind the fuzzer's own file.
 */
#ifndef DSHARD_TEST_CORPUS_H
#define DSHARD_TEST_CORPUS_H

#include <glob.h>

#include "dshard/file.h"
#include "random.h"

enum { CORPUS_INPUT_MAX = 100000 };

/* Feeds one input, and what it makes of it. */
typedef void corpus_input_fn(struct random *r, struct ds_buf *input);

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static inline void corpus_feed(const char *data, size_t len)
{
    uint8_t *copy = ds_xmalloc(len);

    memcpy(copy, data, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

/* Every file that fits the pattern, of which there are `least` at least. */
static inline void corpus_each(const char *pattern, size_t least, struct random *r,
                               corpus_input_fn *fn)
{
    glob_t found;

    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= least);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(CORPUS_INPUT_MAX);
        struct ds_error err = DS_ERROR_INIT;

        assert_ok(ds_file_read(&input, found.gl_pathv[i], &err), &err);
        fn(r, &input);
    }
    globfree(&found);
}

/* The input as it is; then more and more of its bytes become one of these n, and each
   time it is cut somewhere, too. */
static inline void corpus_feed_odd(struct random *r, struct ds_buf *input,
                                   const char *odd, size_t n, int changes)
{
    corpus_feed(input->data, input->len);
    for (int i = 0; input->len && i < changes; i++) {
        input->data[random_below(r, input->len)] = odd[random_below(r, n)];
        corpus_feed(input->data, input->len);
        corpus_feed(input->data, random_below(r, input->len));
    }
}

/* A digit, a letter or a bracket for another keeps it JSON more often than any byte. */
static inline char corpus_near_json(struct random *r, char c)
{
    static const char odd[] = "0123456789-.,:\"{}[]\\aeinoruw";

    return c >= '0' && c <= '9' ? (char)('0' + random_below(r, 10))
                                : odd[random_below(r, sizeof odd - 1)];
}

/* The input as it is; then one byte is another, and it is cut somewhere; now and then the
   byte stays so. */
static inline void corpus_feed_json(struct random *r, struct ds_buf *input)
{
    enum { CHANGES = 60 };

    corpus_feed(input->data, input->len);
    for (int i = 0; input->len && i < CHANGES; i++) {
        size_t at = random_below(r, input->len);
        char before = input->data[at];

        input->data[at] = i % 4 ? corpus_near_json(r, before) : (char)random_next(r);
        corpus_feed(input->data, input->len);
        if (i % 8)
            input->data[at] = before;
        corpus_feed(input->data, random_below(r, input->len));
    }
}

/* As many changes of any byte. */
static inline void corpus_feed_any(struct random *r, struct ds_buf *input, int changes)
{
    for (int i = 0; input->len && i < changes; i++) {
        input->data[random_below(r, input->len)] = (char)random_next(r);
        corpus_feed(input->data, input->len);
    }
}

#endif
