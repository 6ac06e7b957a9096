/* SPDX-License-Identifier: Apache-2.0 */
/* see corpus.h */
#include "test.h"

#include "../fuzz/fuzz_frames.c"
#include "corpus.h"

static void feed(struct random *r, struct ds_buf *input)
{
    for (size_t len = 0; len < input->len && len < 200; len++)
        corpus_feed(input->data, len);
    for (int portion = 0; input->len && portion < 20; portion++) {
        input->data[0] = (char)portion;
        corpus_feed(input->data, input->len);
    }
    corpus_feed_any(r, input, 300);
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    corpus_each("tests/fuzz/corpus/frames/*", 8, &r, feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
