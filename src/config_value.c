/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of one value to the field of its key; see config_table.h. */
#include "config_impl.h"
#include "dshard/num.h"
#include "dshard/url.h"
#include "dshard/utf8.h"

#include <assert.h>
#include <stdio.h>

enum { QUOTED_MAX = 64 }; /* bytes of a value that a complaint repeats */

/* "'TEXT' WHAT"; always returns -1. */
static int bad(struct ds_config_trouble *trouble, const char *text, const char *what)
{
    size_t len = strlen(text), cut = ds_utf8_cut(text, len, QUOTED_MAX);

    return ds_fail(&trouble->problem, DS_E_CONFIG, "'%.*s%s' %s", (int)cut, text,
                   cut < len ? "..." : "", what);
}

static void set_hint(struct ds_config_trouble *trouble, const char *hint)
{
    snprintf(trouble->hint, sizeof trouble->hint, "%s", hint);
}

static bool is_digits(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

/* ---- texts ---- */

static int convert_text(const struct ds_config_key *key, void *base, const char *text,
                        struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);

    if (key->refused && strpbrk(text, key->refused))
        return ds_fail(&trouble->problem, DS_E_CONFIG, "it holds %s",
                       strpbrk(text, key->refused)[0] == ' ' ? "a space"
                                                             : "a refused character");
    ds_set_str(field, *text ? text : NULL);
    return 0;
}

static int convert_file(const struct ds_config_key *key, void *base, const char *text,
                        struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);

    if (text[0] == '~') {
        set_hint(trouble, "the shell expands ~, dshard does not");
        return bad(trouble, text, "begins with ~");
    }
    if (text[strlen(text) - 1] == '/')
        return bad(trouble, text, "is a directory");
    ds_set_str(field, text);
    return 0;
}

static bool is_prefix_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("/-._~", c);
}

static int convert_route_prefix(const struct ds_config_key *key, void *base,
                                const char *text, struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if (!is_prefix_char(text[i]))
            return bad(trouble, text, "holds a character that has no place there");
    }
    while (len && text[len - 1] == '/') /* as Pushgateway itself does */
        len--;
    if (len && text[0] != '/')
        return bad(trouble, text, "does not begin with '/'");
    if (len && !ds_url_path_is_clean(text, len))
        return bad(trouble, text, "holds '//', '/./' or '/../'");
    ds_set_str(field, NULL);
    *field = ds_xstrndup(text, len);
    return 0;
}

static int convert_url_path(const struct ds_config_key *key, void *base, const char *text,
                            struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);

    if (text[0] != '/') {
        set_hint(trouble, strstr(text, "://") ? "only the path, without the server" : "");
        return bad(trouble, text, "does not begin with '/'");
    }
    for (const char *c = text; *c; c++) {
        if (*c == ' ' || *c == '#' || (unsigned char)*c >= 0x80)
            return bad(trouble, text, "holds a character that no URL holds as it is");
    }
    ds_set_str(field, text);
    return 0;
}

/* Checks host, port and path behind "http://". */
static int check_authority(const char *text, const char *rest, unsigned port,
                           struct ds_config_trouble *trouble)
{
    size_t len = strcspn(rest, "/");
    DS_AUTO(str) char *authority = ds_xstrndup(rest, len);
    char address[DS_ADDRESS_MAX];

    if (strpbrk(rest, "?# "))
        return bad(trouble, text, "holds '?', '#' or a space");
    if (authority[0] != '[' && strchr(authority, ':') != strrchr(authority, ':')) {
        set_hint(trouble, "an IPv6 address stands in brackets: \"http://[::1]:8500\"");
        return bad(trouble, text, "has more than one ':'");
    }
    return ds_address_parse(address, authority, port, &trouble->problem);
}

static int convert_consul_addr(const struct ds_config_key *key, void *base,
                               const char *text, struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);
    const char *scheme_end = strstr(text, "://");
    const char *rest = scheme_end ? scheme_end + 3 : text;
    size_t scheme = (size_t)(rest - text), len = strlen(text);
    unsigned port = 80;

    /* The value may hold a password: it is not repeated. */
    if (strchr(rest, '@') && strncmp(text, "unix:", 5) != 0) {
        set_hint(trouble, "username and password are keys of their own");
        return ds_fail(&trouble->problem, DS_E_CONFIG, "it holds '@'");
    }
    if (scheme == 7 && memcmp(text, "unix://", 7) == 0) {
        if (rest[0] != '/')
            return bad(trouble, text, "is not like unix:///path");
        ds_set_str(field, text);
        return 0;
    }
    if (scheme == 8 && memcmp(text, "https://", 8) == 0)
        port = 443;
    else if (scheme && (scheme != 7 || memcmp(text, "http://", 7) != 0))
        return bad(trouble, text, "has a scheme that Consul does not speak");
    if (check_authority(text, rest, port, trouble) < 0)
        return -1;
    while (text[len - 1] == '/')
        len--;
    ds_set_str(field, NULL);
    *field = ds_xasprintf("%s%.*s", scheme ? "" : "http://", (int)len, text);
    return 0;
}

/* ---- numbers, durations, choices ---- */

/* The digits are the text, or the text less a '%'. */
static int parse_number(const struct ds_config_key *key, const char *text,
                        const char *digits, uint64_t max, uint64_t *out,
                        struct ds_config_trouble *trouble)
{
    if (!is_digits(digits))
        return bad(trouble, text, "is not a whole number");
    if (digits[0] == '0' && digits[1]) {
        set_hint(trouble, "many YAML readers take such a number for octal");
        return bad(trouble, text, "has a leading zero");
    }
    if (ds_num_parse(digits, (uint64_t)key->min, max, out, &trouble->problem) < 0)
        return bad(trouble, text, "is out of range");
    return 0;
}

static int convert_number(const struct ds_config_key *key, void *base, const char *text,
                          struct ds_config_trouble *trouble)
{
    unsigned *field = ds_config_field(key, base);
    uint64_t n;

    if (parse_number(key, text, text, (uint64_t)key->max, &n, trouble) < 0)
        return -1;
    *field = (unsigned)n;
    return 0;
}

static int convert_min_healthy(const struct ds_config_key *key, void *base,
                               const char *text, struct ds_config_trouble *trouble)
{
    struct ds_config *config = base;
    size_t len = strlen(text);
    bool percent = text[len - 1] == '%';
    DS_AUTO(str) char *digits = ds_xstrndup(text, len - percent);
    uint64_t n;

    if (parse_number(key, text, digits, percent ? 100 : (uint64_t)key->max, &n, trouble) <
        0)
        return -1;
    config->ring.min_healthy = (unsigned)n;
    config->ring.min_healthy_is_percent = percent;
    return 0;
}

static int convert_duration(const struct ds_config_key *key, void *base, const char *text,
                            struct ds_config_trouble *trouble)
{
    int64_t *field = ds_config_field(key, base);
    int64_t ms;

    if (is_digits(text) && strcmp(text, "0") != 0) {
        snprintf(trouble->hint, sizeof trouble->hint, "%.20ss? %.20sms?", text, text);
        return bad(trouble, text, "has no unit");
    }
    if (strchr(text, ' '))
        set_hint(trouble, "there is a space in it");
    if (ds_duration_parse(text, &ms, &trouble->problem) < 0)
        return bad(trouble, text, "is not a duration");
    if (ms < key->min || ms > key->max)
        return bad(trouble, text, "is out of range");
    *field = ms;
    return 0;
}

/* What becomes of an unquoted off when a program reads YAML and writes it again. */
static void hint_off(const char *text, struct ds_config_trouble *trouble)
{
    if (strcmp(text, "false") == 0 || strcmp(text, "no") == 0)
        snprintf(trouble->hint, sizeof trouble->hint,
                 "some programs turn off into %s: put \"off\" in quotes", text);
}

static int convert_duration_off(const struct ds_config_key *key, void *base,
                                const char *text, struct ds_config_trouble *trouble)
{
    int64_t *field = ds_config_field(key, base);

    hint_off(text, trouble);
    if (strcmp(text, "off") != 0)
        return convert_duration(key, base, text, trouble);
    *field = 0;
    return 0;
}

/* The index of text among the key's choices, or -1. */
static int find_choice(const struct ds_config_key *key, const char *text,
                       struct ds_config_trouble *trouble)
{
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) == 0)
            return i;
        if (ds_config_slips(text, key->choices[i]) < DS_CONFIG_FAR)
            snprintf(trouble->hint, sizeof trouble->hint, "did you mean '%s'?",
                     key->choices[i]);
    }
    hint_off(text, trouble);
    return bad(trouble, text, "is none of the choices");
}

static int convert_scheme(const struct ds_config_key *key, void *base, const char *text,
                          struct ds_config_trouble *trouble)
{
    char **field = ds_config_field(key, base);

    if (find_choice(key, text, trouble) < 0)
        return -1;
    ds_set_str(field, text);
    return 0;
}

static int convert_groups(const struct ds_config_key *key, void *base, const char *text,
                          struct ds_config_trouble *trouble)
{
    enum ds_watch_groups *field = ds_config_field(key, base);
    int choice = find_choice(key, text, trouble);

    if (choice < 0)
        return -1;
    *field = (enum ds_watch_groups)choice;
    return 0;
}

/* ---- by type ---- */

typedef int convert_fn(const struct ds_config_key *key, void *base, const char *text,
                       struct ds_config_trouble *trouble);

static convert_fn *const converters[] = {
    [DS_CONFIG_TEXT] = convert_text,
    [DS_CONFIG_FILE] = convert_file,
    [DS_CONFIG_CONSUL_ADDR] = convert_consul_addr,
    [DS_CONFIG_ROUTE_PREFIX] = convert_route_prefix,
    [DS_CONFIG_URL_PATH] = convert_url_path,
    [DS_CONFIG_SCHEME] = convert_scheme,
    [DS_CONFIG_GROUPS] = convert_groups,
    [DS_CONFIG_NUMBER] = convert_number,
    [DS_CONFIG_DURATION] = convert_duration,
    [DS_CONFIG_DURATION_OFF] = convert_duration_off,
    [DS_CONFIG_MIN_HEALTHY] = convert_min_healthy,
};

int ds_config_convert(const struct ds_config_key *key, void *base, const char *text,
                      struct ds_config_trouble *trouble)
{
    return converters[key->type](key, base, text, trouble);
}

void ds_config_preset(void *base, enum ds_config_base kind, bool consul)
{
    struct ds_config_trouble trouble = DS_CONFIG_TROUBLE_INIT;

    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        const char *preset = ds_config_key_preset(key, consul);
        bool of_server = strstr(key->name, "[]."), failed;

        if (!preset || of_server != (kind == DS_CONFIG_OF_SERVER))
            continue;
        failed = ds_config_convert(key, base, preset, &trouble) < 0;
        assert(!failed); /* the table's defaults are in range */
    }
}
