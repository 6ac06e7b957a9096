/* SPDX-License-Identifier: Apache-2.0 */
/* see corpus.h */
#include "test.h"

#include "../fuzz/fuzz_handler.c"
#include "corpus.h"

static void feed(struct random *r, struct ds_buf *input)
{
    for (size_t len = 0; len < input->len && len < 200; len++)
        corpus_feed(input->data, len);
    for (int choice = 0; input->len && choice < 16; choice++) {
        input->data[0] = (char)choice;
        corpus_feed(input->data, input->len);
    }
    corpus_feed_any(r, input, 300);
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    corpus_each("tests/fuzz/corpus/handler/*", 20, &r, feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
