/* SPDX-License-Identifier: Apache-2.0 */
/* see corpus.h; on the configurations of the test data, too */
#include "test.h"

#include "../fuzz/fuzz_confedit.c"
#include "corpus.h"

enum { CHANGES = 20, SMALL = 2000 };

/* The first byte says how to edit. */
static void feed_how(uint8_t how, const char *text, size_t len)
{
    DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(CORPUS_INPUT_MAX + 1);

    ds_buf_addc(&input, (char)how);
    ds_buf_add(&input, text, len);
    corpus_feed(input.data, input.len);
}

static void feed_text(struct random *r, char *text, size_t len)
{
    static const char odd[] = "\"'{}[]:,-#? \n\r\t";
    static const uint8_t hows[] = {0x00, 0x41, 0x82, 0x3F, 0x7F, 0x44};

    for (size_t i = 0; i < DS_COUNT(hows); i++)
        feed_how(hows[i], text, len);
    for (int i = 0; len && len < SMALL && i < CHANGES; i++) {
        size_t at = random_below(r, len);
        char was = text[at];

        text[at] = odd[random_below(r, sizeof odd - 1)];
        feed_how(hows[random_below(r, DS_COUNT(hows))], text, len);
        if (i % 2) /* one change, or several */
            text[at] = was;
    }
}

/* The byte that says how is in the file already. */
static void feed_own(struct random *r, struct ds_buf *input)
{
    assert_true(input->len);
    feed_text(r, input->data + 1, input->len - 1);
}

static void feed_other(struct random *r, struct ds_buf *input)
{
    feed_text(r, input->data, input->len);
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    corpus_each("tests/fuzz/corpus/confedit/*", 8, &r, feed_own);
    corpus_each(TEST_DATA_DIR "/config/valid/*", 1, &r, feed_other);
    corpus_each("tests/fuzz/corpus/config/*", 1, &r, feed_other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
