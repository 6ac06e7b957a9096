/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/murmur3.h"

static void known_hashes(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        uint32_t seed, hash;
    } rows[] = {
        {"", 0, 0, 0},
        {"", 0, 1, 0x514E28B7},
        {"", 0, 0xFFFFFFFF, 0x81F16F39},
        {"\0\0\0\0", 4, 0, 0x2362F9DE},
        {"\xFF\xFF\xFF\xFF", 4, 0, 0x76293B50},
        {"!Ce\x87", 4, 0, 0xF55B516B},
        {"!Ce\x87", 4, 0x5082EDEE, 0x2362F9DE},
        {"!Ce", 3, 0, 0x7E4A8634},
        {"!C", 2, 0, 0xA0F7B07A},
        {"!", 1, 0, 0x72661CF4},
        {"aaaa", 4, 0x9747B28C, 0x5A97808A},
        {"aaa", 3, 0x9747B28C, 0x283E0130},
        {"aa", 2, 0x9747B28C, 0x5D211726},
        {"a", 1, 0x9747B28C, 0x7FA09EA6},
        {"Hello, world!", 13, 0x9747B28C, 0x24884CBA},
        {"The quick brown fox jumps over the lazy dog", 43, 0, 0x2E4FF723},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++)
        assert_int_equal(ds_murmur3(rows[i].data, rows[i].len, rows[i].seed),
                         rows[i].hash);
}

static void the_place_in_memory_does_not_matter(void **state)
{
    static const char text[] = "/metrics/job/backup/instance/db1";
    uint32_t want = ds_murmur3(text, sizeof text - 1, 0);

    (void)state;
    for (size_t offset = 0; offset < 9; offset++) {
        char moved[sizeof text + 9];

        memcpy(moved + offset, text, sizeof text);
        assert_int_equal(ds_murmur3(moved + offset, sizeof text - 1, 0), want);
    }
}

static void the_digest_is_two_hashes(void **state)
{
    char digest[DS_DIGEST_MAX];

    (void)state;
    ds_murmur3_digest("", 0, digest);
    assert_string_equal(digest, "00000000514e28b7");
    ds_murmur3_digest("!C", 2, digest);
    assert_int_equal(strlen(digest), DS_DIGEST_MAX - 1);
    assert_memory_equal(digest, "a0f7b07a", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hashes),
        cmocka_unit_test(the_place_in_memory_does_not_matter),
        cmocka_unit_test(the_digest_is_two_hashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
