/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random targets against a second reading of them: a slow model that splits everything
 * into strings of its own and shares no code with groupkey.c, url.c, utf8.c and base64.c.
 */
#include "test.h"

#include "dshard/groupkey.h"
#include "random.h"

enum { ROUNDS = 60000, PARTS_MAX = 400, TEXT_MAX = 4096 };

struct text {
    size_t len;
    char data[TEXT_MAX];
};

struct model {
    struct text path, parts[PARTS_MAX];
    struct text names[PARTS_MAX], values[PARTS_MAX];
    size_t n_parts, n_labels;
};

static void append(struct text *to, const char *data, size_t len)
{
    assert_true(to->len + len < TEXT_MAX);
    memcpy(to->data + to->len, data, len);
    to->len += len;
    to->data[to->len] = '\0';
}

static bool is_text(const struct text *text, const char *s)
{
    return text->len == strlen(s) && memcmp(text->data, s, text->len) == 0;
}

static int compare(const struct text *a, const struct text *b)
{
    for (size_t i = 0; i < a->len && i < b->len; i++) {
        int order = (unsigned char)a->data[i] - (unsigned char)b->data[i];

        if (order)
            return order;
    }
    return a->len < b->len ? -1 : a->len > b->len;
}

static bool model_percent(const char *raw, size_t len, struct text *out)
{
    for (size_t i = 0; i < len; i++) {
        unsigned byte = (unsigned char)raw[i];
        char c;

        if (byte == '%') {
            char digits[3] = {0};
            char *end;

            if (len - i < 3)
                return false;
            memcpy(digits, raw + i + 1, 2);
            if (strspn(digits, "0123456789abcdefABCDEF") != 2)
                return false;
            byte = (unsigned)strtoul(digits, &end, 16);
            i += 2;
        }
        c = (char)byte;
        append(out, &c, 1);
    }
    return true;
}

/* Collects bits one by one. */
static bool model_base64(struct text *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct text out = {0};
    unsigned bits = 0, n_bits = 0, n_chars = 0;

    while (text->len && text->data[text->len - 1] == '=')
        text->len--;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->data[i];
        const char *found = c ? strchr(alphabet, c) : NULL;

        if (c == '\r' || c == '\n')
            continue;
        if (!found)
            return false;
        n_chars++;
        for (int bit = 5; bit >= 0; bit--) {
            bits = (bits << 1 | ((unsigned)(found - alphabet) >> bit & 1)) & 0xFF;
            if (++n_bits == 8) {
                char byte = (char)bits;

                append(&out, &byte, 1);
                n_bits = 0;
            }
        }
    }
    *text = out;
    return n_chars % 4 != 1;
}

static bool model_utf8(const struct text *text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < text->len;) {
        uint32_t c = (unsigned char)text->data[i];
        size_t n = c < 0x80       ? 1
                   : c >> 5 == 6  ? 2
                   : c >> 4 == 14 ? 3
                   : c >> 3 == 30 ? 4
                                  : 0;

        if (!n || i + n > text->len)
            return false;
        c &= n == 1 ? 0x7F : 0xFFu >> (n + 1);
        for (size_t k = 1; k < n; k++) {
            uint32_t tail = (unsigned char)text->data[i + k];

            if (tail >> 6 != 2)
                return false;
            c = c << 6 | (tail & 63);
        }
        if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) || c == 0)
            return false; /* NUL is our own rule */
        i += n;
    }
    return true;
}

/* Splits the path at each '/' behind the first one. */
static void model_split(struct model *m)
{
    m->n_parts = 1;
    m->parts[0].len = 0;
    for (size_t i = 1; i < m->path.len; i++) {
        if (m->path.data[i] == '/') {
            assert_true(m->n_parts < PARTS_MAX);
            m->parts[m->n_parts++].len = 0;
        } else {
            append(&m->parts[m->n_parts - 1], &m->path.data[i], 1);
        }
    }
}

static bool model_is_clean(const struct model *m)
{
    for (size_t i = 0; i < m->n_parts; i++) {
        bool last = i + 1 == m->n_parts;

        if (is_text(&m->parts[i], ".") || is_text(&m->parts[i], ".."))
            return false;
        if (!m->parts[i].len && !last)
            return false;
    }
    return true;
}

static bool model_name(const struct text *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

    if (!name->len || !name->data[0] || !strchr(first, name->data[0]))
        return false;
    for (size_t i = 0; i < name->len; i++) {
        char c = name->data[i];

        if (!c || (!strchr(first, c) && !strchr("0123456789", c)))
            return false;
    }
    return strncmp(name->data, "__", 2) != 0;
}

static void model_set(struct model *m, const struct text *name, const struct text *value)
{
    size_t i = 0;

    while (i < m->n_labels && compare(&m->names[i], name) < 0)
        i++;
    if (i == m->n_labels || compare(&m->names[i], name) != 0) {
        memmove(&m->names[i + 1], &m->names[i], (m->n_labels - i) * sizeof *m->names);
        memmove(&m->values[i + 1], &m->values[i], (m->n_labels - i) * sizeof *m->values);
        m->n_labels++;
    }
    m->names[i] = *name;
    m->values[i] = *value;
}

static bool model_pair(struct model *m, struct text name, struct text value)
{
    static const char suffix[] = "@base64";
    size_t len = strlen(suffix);

    if (name.len >= len && memcmp(name.data + name.len - len, suffix, len) == 0) {
        name.len -= len;
        name.data[name.len] = '\0';
        if (!model_base64(&value))
            return false;
    }
    if (!model_name(&name))
        return false;
    model_set(m, &name, &value);
    return true;
}

static enum ds_code model_parse(struct model *m, const char *target, size_t len)
{
    static const struct text job_name = {3, "job"};
    struct text job;
    size_t end = 0;

    m->path.len = m->n_labels = 0;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)target[i] <= 32 || target[i] == 127)
            return DS_E_BAD_PATH;
    }
    while (end < len && target[end] != '?')
        end++;
    if (!end || target[0] != '/' || !model_percent(target, end, &m->path))
        return DS_E_BAD_PATH;
    model_split(m);
    if (!model_is_clean(m))
        return DS_E_BAD_PATH;
    if (m->n_parts < 3 || !is_text(&m->parts[0], "metrics") || !m->parts[2].len ||
        (!is_text(&m->parts[1], "job") && !is_text(&m->parts[1], "job@base64")))
        return DS_E_NOT_FOUND;
    job = m->parts[2];
    if (m->parts[1].len > 3 && !model_base64(&job))
        return DS_E_BAD_PATH;
    if (m->n_parts == 4 && !m->parts[3].len)
        m->n_parts = 3; /* just a slash at the end */
    if (m->n_parts % 2 == 0 || !job.len)
        return DS_E_BAD_PATH;
    for (size_t i = 3; i < m->n_parts; i += 2) {
        if (!model_pair(m, m->parts[i], m->parts[i + 1]))
            return DS_E_BAD_PATH;
    }
    model_set(m, &job_name, &job);
    for (size_t i = 0; i < m->n_labels; i++) {
        if (!model_utf8(&m->values[i]))
            return DS_E_BAD_PATH;
    }
    return DS_OK;
}

/* A target that has a good chance to be nearly right. */
static void make_target(struct random *r, struct text *out)
{
    static const char *const pieces[] = {
        "a",      "b",           "x",    "y",           "job",       "instance",  "_x",
        "__x",    "1x",          "x-y",  "%C3%A4",      "%FF",       "\xC3\xA4",  "%00",
        "%",      "%2",          "%2F",  "%2e",         ".",         "..",        "...",
        ".a",     "~",           "+",    "%20",         "%25",       "%3F",       "%0A",
        "=",      "#",           ";",    "@base64",     "@",         "%4064",     "YQ",
        "YR==",   "L3Zhci90bXA", "Pz8_", "!!",          "_w",        "AA",        "=",
        "Zm9vCg", "%3D%3D",      " ",    "\x7F",        "?",         "?q=/x//",   "4pyT",
        "x_",     "X",           "w6Q",  "host-1.dc:9", "%E2%9C%93", "%ED%A0%80", "",
    };
    static const char *const names[] = {"x",        "y",        "job",        "instance",
                                        "x@base64", "y@base64", "job@base64", "_"};
    static const char *const values[] = {"1", "a", "YQ", "Yg==", "L3Zhci90bXA", "", "="};
    size_t n = random_below(r, 6);

    out->len = 0;
    append(out, "/metrics/job", 12);
    if (random_below(r, 4) == 0)
        append(out, "@base64", 7);
    for (size_t i = 0; i < 2 * n + 1; i++) {
        const char *piece = i % 2 ? names[random_below(r, DS_COUNT(names))]
                                  : values[random_below(r, DS_COUNT(values))];

        append(out, "/", 1);
        if (random_below(r, 12) == 0)
            piece = pieces[random_below(r, DS_COUNT(pieces))];
        append(out, piece, strlen(piece));
        while (random_below(r, 12) == 0) {
            piece = pieces[random_below(r, DS_COUNT(pieces))];
            append(out, piece, strlen(piece));
        }
    }
    if (random_below(r, 10) == 0)
        append(out, "/", 1);
    if (random_below(r, 40) == 0)
        out->data[random_below(r, out->len)] = (char)random_next(r);
}

static void assert_same_group(const struct ds_groupkey *group, const struct model *m,
                              const char *target)
{
    static struct text identity, key;
    DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(2 * TEXT_MAX);

    identity.len = key.len = 0;
    append(&key, "/metrics/job/", 13);
    append(&key, group->job.value, group->job.value_len);
    for (size_t i = 0; i < m->n_labels; i++) {
        append(&identity, "\xFF", i ? 1 : 0);
        append(&identity, m->names[i].data, m->names[i].len);
        append(&identity, "\xFF", 1);
        append(&identity, m->values[i].data, m->values[i].len);
        if (is_text(&m->names[i], "job"))
            continue;
        append(&key, "/", 1);
        append(&key, m->names[i].data, m->names[i].len);
        append(&key, "/", 1);
        append(&key, m->values[i].data, m->values[i].len);
    }
    ds_groupkey_identity(group, &got);
    if (got.len != identity.len || memcmp(got.data, identity.data, got.len) != 0)
        fail_msg("%s: another group", target);
    if (group->key.len != key.len || memcmp(group->key.data, key.data, key.len) != 0)
        fail_msg("%s: another key", target);
}

static void assert_fixed_point(const struct ds_groupkey *group, struct ds_groupkey *again,
                               const char *target)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789-._~/@=";
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_groupkey_parse(again, group->url.data, group->url.len, &err), &err);
    if (strcmp(again->url.data, group->url.data) != 0 ||
        strcmp(again->key.data, group->key.data) != 0 ||
        again->n_labels != group->n_labels)
        fail_msg("%s: %s and %s", target, group->url.data, again->url.data);
    if (group->url.data[strspn(group->url.data, safe)] != '?' &&
        group->url.data[strspn(group->url.data, safe)] != '\0')
        fail_msg("%s: %s is not plain", target, group->url.data);
}

static void random_targets_mean_what_the_model_says(void **state)
{
    struct random r = random_start(__func__);
    struct model *m = ds_xcalloc(1, sizeof *m);
    DS_AUTO(groupkey) struct ds_groupkey group = {0}, again = {0};
    size_t n_codes[DS_E_TOO_LONG + 1] = {0};

    (void)state;
    ds_groupkey_init(&group);
    ds_groupkey_init(&again);
    for (int round = 0; round < ROUNDS; round++) {
        struct ds_error err = DS_ERROR_INIT;
        static struct text target;
        enum ds_code want, got;

        make_target(&r, &target);
        want = model_parse(m, target.data, target.len);
        got = ds_groupkey_parse(&group, target.data, target.len, &err) < 0 ? err.code
                                                                           : DS_OK;
        if (got != want)
            fail_msg("%s: the model says %d: %d %s", target.data, (int)want, (int)got,
                     err.text);
        n_codes[got]++;
        if (got != DS_OK)
            continue;
        assert_same_group(&group, m, target.data);
        assert_fixed_point(&group, &again, target.data);
    }
    free(m);
    print_message("%zu groups, %zu refused, %zu not found\n", n_codes[DS_OK],
                  n_codes[DS_E_BAD_PATH], n_codes[DS_E_NOT_FOUND]);
    assert_true(n_codes[DS_OK] > ROUNDS / 10);
    assert_true(n_codes[DS_E_BAD_PATH] > ROUNDS / 10);
    assert_true(n_codes[DS_E_NOT_FOUND] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_targets_mean_what_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
