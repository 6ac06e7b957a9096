/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/opt.h"

#include <stdio.h>

enum { WORDS_MAX = 12, TEXT_MAX = 200 };

struct common {
    bool quiet, verbose;
    const char *output;
    int64_t timeout_ms;
};

struct own {
    bool force, dry_run;
    struct ds_opt_list adds;
    unsigned workers;
};

static const struct ds_opt COMMON[] = {
    {"quiet", 'q', DS_OPT_FLAG, offsetof(struct common, quiet), NULL, "says less"},
    {"verbose", 'v', DS_OPT_FLAG, offsetof(struct common, verbose), NULL, "says more"},
    {"output", 'o', DS_OPT_TEXT, offsetof(struct common, output), "FORMAT",
     "text or json"},
    {"timeout", '\0', DS_OPT_DURATION, offsetof(struct common, timeout_ms), "DURATION",
     "how long to wait"},
};
static const struct ds_opt OWN[] = {
    {"force", '\0', DS_OPT_FLAG, offsetof(struct own, force), NULL, "do it anyway"},
    {"dry-run", 'n', DS_OPT_FLAG, offsetof(struct own, dry_run), NULL, "do nothing"},
    {"add", 'a', DS_OPT_LIST, offsetof(struct own, adds), "SERVER", "one more"},
    {"workers", 'w', DS_OPT_NUMBER, offsetof(struct own, workers), "N", "how many"},
};

struct line {
    struct common common;
    struct own own;
    struct ds_opt_list operands;
    int used, rc;
    struct ds_error err;
    char words[TEXT_MAX]; /* the text that argv points into */
};

static void ds_auto_line(struct line *line)
{
    const struct ds_opt_set set = {OWN, DS_COUNT(OWN), &line->own};

    ds_opt_release(&set);
    ds_opt_release(&set);
    ds_opt_list_release(&line->operands);
}

/* Reads a line of words that stand one space apart; "_" is an empty word. */
static void read_line(struct line *line, const char *words, bool stop_at_operand)
{
    const struct ds_opt_set sets[] = {{COMMON, DS_COUNT(COMMON), &line->common},
                                      {OWN, DS_COUNT(OWN), &line->own}};
    char *argv[WORDS_MAX], *p = line->words;
    int argc = 0;

    *line = (struct line){.used = -1};
    snprintf(line->words, sizeof line->words, "%s", words);
    while (*p) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
        if (strcmp(argv[argc - 1], "_") == 0)
            argv[argc - 1][0] = '\0';
    }
    line->rc = ds_opt_parse(sets, DS_COUNT(sets), argc, argv, stop_at_operand,
                            &line->operands, &line->used, &line->err);
}

static void assert_operands(const struct line *line, const char *want)
{
    char found[TEXT_MAX] = "";
    size_t at = 0;

    for (size_t i = 0; i < line->operands.n; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s<%s>", i ? " " : "",
                               line->operands.items[i]);
    assert_string_equal(found, want);
}

static void options_and_operands_stand_in_any_order(void **state)
{
    static const char *const lines[] = {
        "--force -o json --add x:1 --timeout 2s A B",
        "A B --timeout 2s --add x:1 -o json --force",
        "A --timeout=2s B --add=x:1 -ojson --force",
        "A -ax:1 --output json --force B --timeout 2s",
        "--output=json --force A --timeout 2s -a x:1 -- B",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(lines); i++) {
        DS_AUTO(line) struct line line;

        read_line(&line, lines[i], false);
        assert_ok(line.rc, &line.err);
        assert_operands(&line, "<A> <B>");
        assert_true(line.own.force);
        assert_false(line.own.dry_run);
        assert_string_equal(line.common.output, "json");
        assert_int_equal(line.common.timeout_ms, 2000);
        assert_int_equal(line.own.adds.n, 1);
        assert_string_equal(line.own.adds.items[0], "x:1");
    }
}

static void after_two_dashes_all_are_operands(void **state)
{
    DS_AUTO(line) struct line line;

    (void)state;
    read_line(&line, "-q -- --force -n -- x", false);
    assert_ok(line.rc, &line.err);
    assert_operands(&line, "<--force> <-n> <--> <x>");
    assert_true(line.common.quiet);
    assert_false(line.own.force || line.own.dry_run);
}

static void one_dash_and_nothing_are_operands(void **state)
{
    DS_AUTO(line) struct line line;

    (void)state;
    read_line(&line, "- _ -q", false);
    assert_ok(line.rc, &line.err);
    assert_operands(&line, "<-> <>");
    assert_true(line.common.quiet);
}

static void letters_can_be_joined(void **state)
{
    DS_AUTO(line) struct line line;

    (void)state;
    read_line(&line, "-qvnw3 -nojson", false);
    assert_ok(line.rc, &line.err);
    assert_true(line.common.quiet && line.common.verbose && line.own.dry_run);
    assert_int_equal(line.own.workers, 3);
    assert_string_equal(line.common.output, "json");
}

static void values_are_taken_as_they_are(void **state)
{
    DS_AUTO(line) struct line line;

    (void)state;
    read_line(&line, "--output --force -o -q --add=a=b --add= --add _ -a--", false);
    assert_ok(line.rc, &line.err);
    assert_string_equal(line.common.output, "-q"); /* the last one counts */
    assert_false(line.own.force || line.common.quiet);
    assert_int_equal(line.own.adds.n, 4);
    assert_string_equal(line.own.adds.items[0], "a=b");
    assert_string_equal(line.own.adds.items[1], "");
    assert_string_equal(line.own.adds.items[2], "");
    assert_string_equal(line.own.adds.items[3], "--");
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *line, *text;
    } rows[] = {
        {"--forc", "'--forc' is no option; did you mean --force?"},
        {"--forec", "'--forec' is no option; did you mean --force?"},
        {"--dryrun", "'--dryrun' is no option; did you mean --dry-run?"},
        {"--quite=1", "'--quite' is no option; did you mean --quiet?"},
        {"--o", "'--o' is no option"},
        {"--q", "'--q' is no option"},
        {"--time 2s", "'--time' is no option"}, /* never abbreviated */
        {"--nonsense", "'--nonsense' is no option"},
        {"--FORCE", "'--FORCE' is no option"},
        {"--=x", "'--' is no option"},
        {"---force", "'---force' is no option; did you mean --force?"},
        {"-x", "'-x' is no option"},
        {"-qx", "'-qx' is no option"},
        {"-force", "'-force' is no option"},
        {"--force=yes", "--force takes no value"},
        {"--force=", "--force takes no value"},
        {"--output", "--output wants a value: FORMAT"},
        {"A -o", "--output wants a value: FORMAT"},
        {"-qa", "--add wants a value: SERVER"},
        {"--timeout soon", "--timeout: "},
        {"--timeout=", "--timeout: "},
        {"--timeout 5", "--timeout: "},
        {"-w 1x", "--workers: '1x' is not a whole number"},
        {"-w-1", "--workers: '-1' is not a whole number"},
        {"-w 4294967296", "--workers: '4294967296' is out of range"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(line) struct line line;

        read_line(&line, rows[i].line, false);
        if (line.rc == 0)
            fail_msg("taken: %s", rows[i].line);
        assert_int_equal(line.err.code, DS_E_USAGE);
        if (strncmp(line.err.text, rows[i].text, strlen(rows[i].text)) != 0 ||
            (rows[i].text[strlen(rows[i].text) - 1] == '?' &&
             strcmp(line.err.text, rows[i].text) != 0) ||
            (strstr(rows[i].text, "did you mean") == NULL &&
             strstr(line.err.text, "did you mean")))
            fail_msg("%s: '%s', not '%s'", rows[i].line, line.err.text, rows[i].text);
    }
}

static void the_first_operand_can_end_the_reading(void **state)
{
    static const struct {
        const char *line;
        int used;
    } rows[] = {
        {"-q --timeout 2s watch --nonsense", 3},
        {"watch -x", 0},
        {"-q", 1},
        {"", 0},
        {"-o json - x", 2},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(line) struct line line;

        read_line(&line, rows[i].line, true);
        assert_ok(line.rc, &line.err);
        assert_int_equal(line.used, rows[i].used);
        assert_operands(&line, "");
    }
}

static void the_help_lists_each_option(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);

    (void)state;
    ds_opt_help(OWN, DS_COUNT(OWN), &out);
    assert_string_equal(out.data, "      --force                do it anyway\n"
                                  "  -n, --dry-run              do nothing\n"
                                  "  -a, --add SERVER           one more\n"
                                  "  -w, --workers N            how many\n");
}

static const char *word_at(const void *words, size_t i)
{
    return ((const char *const *)words)[i];
}

static void the_nearest_word_is_within_two_edits(void **state)
{
    static const char *const words[] = {"ring", "register", "deregister", "status", "up"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"ring", "ring"},
        {"rign", "ring"},
        {"rings", "ring"},
        {"rng", "ring"},
        {"regster", "register"},
        {"deregistr", "deregister"},
        {"statsu", "status"},
        {"rinxyz", NULL},
        {"", NULL},
        {"x", NULL},
        {"xy", NULL},
        {"ux", "up"},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        const char *found = ds_opt_nearest(rows[i].word, word_at, words, DS_COUNT(words));

        if ((found == NULL) != (rows[i].nearest == NULL) ||
            (found && strcmp(found, rows[i].nearest) != 0))
            fail_msg("'%s': %s, not %s", rows[i].word, found ? found : "none",
                     rows[i].nearest ? rows[i].nearest : "none");
    }
    assert_null(ds_opt_nearest("x", word_at, words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_stand_in_any_order),
        cmocka_unit_test(after_two_dashes_all_are_operands),
        cmocka_unit_test(one_dash_and_nothing_are_operands),
        cmocka_unit_test(letters_can_be_joined),
        cmocka_unit_test(values_are_taken_as_they_are),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_first_operand_can_end_the_reading),
        cmocka_unit_test(the_help_lists_each_option),
        cmocka_unit_test(the_nearest_word_is_within_two_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
