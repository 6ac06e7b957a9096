/* SPDX-License-Identifier: Apache-2.0 */
/* see config_table.h */
#include "dshard/config_table.h"
#include "dshard/config.h"
#include "dshard/num.h"
#include "dshard/ring.h"

#include <assert.h>
#include <inttypes.h>

#define IN_CONFIG(field) offsetof(struct ds_config, field)
#define IN_SERVER(field) offsetof(struct ds_server, field)

static const char *const schemes[] = {"http", "https", NULL};
static const char *const groups[] = {"off", "dedupe", "move", NULL};

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

const struct ds_config_key ds_config_keys[] = {
    {"consul_server", .type = DS_CONFIG_MAP,
     .absent = "standalone: dshard checks the servers itself",
     .meaning = "the Consul that knows the servers and checks them"},
    {"consul_server.addr", .type = DS_CONFIG_CONSUL_ADDR,
     .offset = IN_CONFIG(consul_server.addr), .min = 1, .max = 1024,
     .absent = "$CONSUL_HTTP_ADDR, else http://127.0.0.1:8500",
     .meaning = "where the HTTP API of the local Consul agent is"},
    {"consul_server.username", .type = DS_CONFIG_TEXT, .flags = DS_CONFIG_NULL_OK,
     .offset = IN_CONFIG(consul_server.username), .min = 0, .max = 256, .refused = ":",
     .absent = "$CONSUL_HTTP_AUTH, else no basic authentication",
     .meaning = "user name for HTTP basic authentication to Consul"},
    {"consul_server.password", .type = DS_CONFIG_TEXT,
     .flags = DS_CONFIG_SECRET | DS_CONFIG_NULL_OK,
     .offset = IN_CONFIG(consul_server.password), .min = 0, .max = 256,
     .absent = "$CONSUL_HTTP_AUTH, else no basic authentication",
     .meaning = "password for HTTP basic authentication to Consul"},
    {"consul_server.token", .type = DS_CONFIG_TEXT, .flags = DS_CONFIG_SECRET,
     .offset = IN_CONFIG(consul_server.token), .min = 1, .max = 256,
     .absent = "$CONSUL_HTTP_TOKEN, else the anonymous token",
     .meaning = "Consul's ACL token; token_file keeps it out of this file"},
    {"consul_server.token_file", .type = DS_CONFIG_FILE,
     .offset = IN_CONFIG(consul_server.token_file), .min = 1, .max = 4095,
     .absent = "$CONSUL_HTTP_TOKEN_FILE, else none",
     .meaning = "a file that holds Consul's ACL token"},
    {"consul_server.datacenter", .type = DS_CONFIG_TEXT,
     .offset = IN_CONFIG(consul_server.datacenter), .min = 1, .max = 128,
     .refused = " /?&#", .absent = "the agent's own data centre",
     .meaning = "the Consul data centre to ask"},
    {"consul_server.ca_file", .type = DS_CONFIG_FILE,
     .offset = IN_CONFIG(consul_server.ca_file), .min = 1, .max = 4095,
     .absent = "$CONSUL_CACERT, else the system's authorities",
     .meaning = "PEM file with the authorities that Consul's certificate is checked by"},
    {"consul_server.cert_file", .type = DS_CONFIG_FILE,
     .offset = IN_CONFIG(consul_server.cert_file), .min = 1, .max = 4095,
     .absent = "$CONSUL_CLIENT_CERT, else none",
     .meaning = "PEM file with the client certificate to show to Consul"},
    {"consul_server.key_file", .type = DS_CONFIG_FILE,
     .offset = IN_CONFIG(consul_server.key_file), .min = 1, .max = 4095,
     .absent = "$CONSUL_CLIENT_KEY, else none",
     .meaning = "PEM file with the key of the client certificate"},
    {"consul_server.tls_server_name", .type = DS_CONFIG_TEXT,
     .offset = IN_CONFIG(consul_server.tls_server_name), .min = 1, .max = 253,
     .refused = " /:?&#", .absent = "$CONSUL_TLS_SERVER_NAME, else the host of addr",
     .meaning = "the name that Consul's certificate has to carry"},
    {"consul_server.register_service_name", .type = DS_CONFIG_TEXT,
     .offset = IN_CONFIG(consul_server.service), .min = 1, .max = 128, .refused = " /?&#",
     .preset = "pushgateway",
     .meaning = "the Consul service that the servers are registered as"},
    {"consul_server.tags", .type = DS_CONFIG_TEXTS,
     .offset = IN_CONFIG(consul_server.tags), .min = 0, .max = 64, .absent = "no tags",
     .meaning = "tags of the Consul service"},
    {"consul_server.wait", .type = DS_CONFIG_DURATION,
     .offset = IN_CONFIG(consul_server.wait_ms), .min = SECOND, .max = 10 * MINUTE,
     .preset = "30s", .meaning = "how long one blocking query to Consul may wait"},

    {"http_listen_addr", .type = DS_CONFIG_TEXT, .offset = IN_CONFIG(http_listen_addr),
     .min = 0, .max = 256, .flags = DS_CONFIG_NULL_OK, .absent = "nothing",
     .meaning = "key of dynamic-sharding, accepted and not used: the web server listens"},

    {"pushgateway", .type = DS_CONFIG_MAP, .flags = DS_CONFIG_REQUIRED,
     .meaning = "the Pushgateways"},
    {"pushgateway.scheme", .type = DS_CONFIG_SCHEME,
     .offset = IN_CONFIG(pushgateway.scheme), .choices = schemes, .preset = "http",
     .meaning = "how the servers are spoken to"},
    {"pushgateway.port", .type = DS_CONFIG_NUMBER, .offset = IN_CONFIG(pushgateway.port),
     .min = 1, .max = 65535, .preset = "9091",
     .meaning = "port of the servers that are listed without one"},
    {"pushgateway.route_prefix", .type = DS_CONFIG_ROUTE_PREFIX,
     .offset = IN_CONFIG(pushgateway.route_prefix), .min = 0, .max = 256, .preset = "",
     .meaning = "what the servers were started with as --web.route-prefix"},
    {"pushgateway.username", .type = DS_CONFIG_TEXT,
     .offset = IN_CONFIG(pushgateway.username), .min = 1, .max = 256, .refused = ":",
     .absent = "no authentication",
     .meaning = "user name for HTTP basic authentication to the servers"},
    {"pushgateway.password_file", .type = DS_CONFIG_FILE,
     .offset = IN_CONFIG(pushgateway.password_file), .min = 1, .max = 4095,
     .absent = "no authentication", .meaning = "a file that holds the password"},
    {"pushgateway.servers", .type = DS_CONFIG_SERVERS, .flags = DS_CONFIG_REQUIRED,
     .offset = IN_CONFIG(pushgateway.servers), .min = 1, .max = DS_SERVERS_MAX,
     .meaning = "the servers: host, host:port, or a map of addr and weight"},
    {"pushgateway.servers[].addr", .type = DS_CONFIG_ADDRESS, .flags = DS_CONFIG_REQUIRED,
     .offset = IN_SERVER(address),
     .meaning = "the server; IPv6 addresses stand in brackets, and in quotes"},
    {"pushgateway.servers[].weight", .type = DS_CONFIG_NUMBER,
     .offset = IN_SERVER(weight), .min = 1, .max = DS_WEIGHT_MAX, .preset = "1",
     .meaning = "its share of the groups, compared with the other servers"},

    {"health_check", .type = DS_CONFIG_MAP, .absent = "the defaults below",
     .meaning = "how it is found out whether a server works"},
    {"health_check.path", .type = DS_CONFIG_URL_PATH,
     .offset = IN_CONFIG(health_check.path), .min = 1, .max = 1024,
     .preset = "/-/healthy",
     .meaning = "path that answers 200 on a healthy server, behind route_prefix"},
    {"health_check.interval", .type = DS_CONFIG_DURATION,
     .offset = IN_CONFIG(health_check.interval_ms), .min = 50, .max = HOUR,
     .preset = "1s", .consul_preset = "5s",
     .meaning = "time from one check of a server to the next"},
    {"health_check.timeout", .type = DS_CONFIG_DURATION,
     .offset = IN_CONFIG(health_check.timeout_ms), .min = 10, .max = 5 * MINUTE,
     .preset = "1s", .consul_preset = "2s",
     .meaning = "a check that takes longer has failed"},
    {"health_check.rise", .type = DS_CONFIG_NUMBER,
     .offset = IN_CONFIG(health_check.rise), .min = 1, .max = 100, .preset = "2",
     .meaning = "so many good checks in a row bring a server back"},
    {"health_check.fall", .type = DS_CONFIG_NUMBER,
     .offset = IN_CONFIG(health_check.fall), .min = 1, .max = 100, .preset = "2",
     .meaning = "so many failed checks in a row take a server out"},
    {"health_check.deregister_after", .type = DS_CONFIG_DURATION_OFF,
     .offset = IN_CONFIG(health_check.deregister_after_ms), .min = MINUTE,
     .max = (int64_t)8760 * HOUR, .preset = "off",
     .meaning = "Consul forgets a server that has been down for so long"},

    {"ring", .type = DS_CONFIG_MAP, .absent = "the defaults below",
     .meaning = "which server gets which group, and when that changes"},
    {"ring.replicas", .type = DS_CONFIG_NUMBER, .offset = IN_CONFIG(ring.replicas),
     .min = 1, .max = DS_REPLICAS_MAX, .preset = "500",
     .meaning = "points on the ring of a server of weight 1; all frontends must agree"},
    {"ring.min_healthy", .type = DS_CONFIG_MIN_HEALTHY,
     .offset = IN_CONFIG(ring.min_healthy), .min = 1, .max = DS_SERVERS_MAX,
     .preset = "1", .meaning = "with fewer healthy servers than this the ring is frozen"},
    {"ring.shrink_hold", .type = DS_CONFIG_DURATION,
     .offset = IN_CONFIG(ring.shrink_hold_ms), .min = 0, .max = HOUR, .preset = "10s",
     .meaning = "Consul only: how long the loss of more than half is doubted"},
    {"ring.rejoin_after", .type = DS_CONFIG_DURATION,
     .offset = IN_CONFIG(ring.rejoin_after_ms), .min = 0, .max = 5 * MINUTE,
     .preset = "10s",
     .meaning = "how long a server that came back has to stay up before it rejoins"},

    {"watch", .type = DS_CONFIG_MAP, .absent = "the defaults below",
     .meaning = "what `dshard watch` does about misplaced groups"},
    {"watch.groups", .type = DS_CONFIG_GROUPS, .offset = IN_CONFIG(watch.groups),
     .choices = groups, .preset = "move",
     .meaning = "off, dedupe (removes old copies) or move (also brings groups home)"},
    {"watch.patience", .type = DS_CONFIG_DURATION, .offset = IN_CONFIG(watch.patience_ms),
     .min = 50, .max = 24 * HOUR, .preset = "1m",
     .meaning = "how long a group has to be silent before it is copied to its owner"},

    {"state_file", .type = DS_CONFIG_FILE, .offset = IN_CONFIG(state_file), .min = 1,
     .max = 4095, .preset = "/var/lib/dshard/ring.json",
     .meaning = "the state file; watch and commands write it, dshard-fcgi reads it"},
};

const size_t ds_config_n_keys = DS_COUNT(ds_config_keys);
static_assert(DS_COUNT(ds_config_keys) <= DS_CONFIG_KEYS_MAX, "DS_CONFIG_KEYS_MAX");

static size_t section_len(const struct ds_config_key *key)
{
    const char *dot = strrchr(key->name, '.');

    return dot ? (size_t)(dot - key->name) : 0;
}

const char *ds_config_key_leaf(const struct ds_config_key *key)
{
    size_t len = section_len(key);

    return key->name + (len ? len + 1 : 0);
}

bool ds_config_key_is_in(const struct ds_config_key *key, const char *section)
{
    size_t len = section_len(key);

    return strlen(section) == len && memcmp(key->name, section, len) == 0;
}

const struct ds_config_key *ds_config_key_find(const char *section, const char *leaf)
{
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];

        if (ds_config_key_is_in(key, section) &&
            strcmp(ds_config_key_leaf(key), leaf) == 0)
            return key;
    }
    return NULL;
}

bool ds_config_key_is_string(const struct ds_config_key *key)
{
    return key->type >= DS_CONFIG_TEXT && key->type <= DS_CONFIG_SCHEME;
}

const char *ds_config_key_preset(const struct ds_config_key *key, bool consul)
{
    return consul && key->consul_preset ? key->consul_preset : key->preset;
}

/* ---- what is expected, in words ---- */

static void add_or(struct ds_buf *out, size_t i, size_t n, const char *word)
{
    if (i)
        ds_buf_adds(out, i + 1 == n ? " or " : ", ");
    ds_buf_adds(out, word);
}

static void add_choices(const char *const *choices, struct ds_buf *out)
{
    size_t n = 0;

    while (choices[n])
        n++;
    for (size_t i = 0; i < n; i++)
        add_or(out, i, n, choices[i]);
}

static void add_durations(const struct ds_config_key *key, struct ds_buf *out)
{
    char min[DS_DURATION_TEXT_MAX], max[DS_DURATION_TEXT_MAX];

    ds_duration_format(key->min, min);
    ds_duration_format(key->max, max);
    ds_buf_addf(out, "a duration from %s to %s", min, max);
}

static void add_text(const struct ds_config_key *key, struct ds_buf *out)
{
    ds_buf_addf(out, "text of at most %" PRId64 " bytes", key->max);
    for (const char *c = key->refused; c && *c; c++) {
        ds_buf_adds(out, c == key->refused ? " without " : c[1] ? ", " : " or ");
        if (*c == ' ')
            ds_buf_adds(out, "spaces");
        else
            ds_buf_addf(out, "'%c'", *c);
    }
}

/* What is the same for every key of a type; NULL: see ds_config_key_expects(). */
static const char *const fixed_expects[] = {
    [DS_CONFIG_FILE] = "a path of a file",
    [DS_CONFIG_CONSUL_ADDR] =
        "host:port, http://host:port, https://host:port or unix:///path",
    [DS_CONFIG_ROUTE_PREFIX] = "nothing or a path like /pushgateway of letters, digits, "
                               "'-', '.', '_' and '~'",
    [DS_CONFIG_URL_PATH] = "a path like /-/healthy",
    [DS_CONFIG_ADDRESS] = "host or host:port",
};

void ds_config_key_expects(const struct ds_config_key *key, struct ds_buf *out)
{
    if (key->type == DS_CONFIG_MAP) {
        ds_buf_adds(out, "a map with ");
        ds_config_section_keys(key->name, out);
    } else if (key->type == DS_CONFIG_SERVERS) {
        ds_buf_addf(out, "a list of %" PRId64 " to %" PRId64 " servers", key->min,
                    key->max);
    } else if (key->type == DS_CONFIG_TEXTS) {
        ds_buf_addf(out, "a list of at most %" PRId64 " texts", key->max);
    } else if (key->type == DS_CONFIG_TEXT) {
        add_text(key, out);
    } else if (key->choices) {
        add_choices(key->choices, out);
    } else if (key->type == DS_CONFIG_NUMBER) {
        ds_buf_addf(out, "a whole number from %" PRId64 " to %" PRId64, key->min,
                    key->max);
    } else if (key->type == DS_CONFIG_MIN_HEALTHY) {
        ds_buf_addf(out,
                    "a whole number from %" PRId64 " to %" PRId64
                    " or a percentage from 1%% to 100%%",
                    key->min, key->max);
    } else if (key->type == DS_CONFIG_DURATION || key->type == DS_CONFIG_DURATION_OFF) {
        ds_buf_adds(out, key->type == DS_CONFIG_DURATION_OFF ? "off or " : "");
        add_durations(key, out);
    } else {
        ds_buf_adds(out, fixed_expects[key->type]);
    }
}

void ds_config_section_keys(const char *section, struct ds_buf *out)
{
    const char *names[DS_CONFIG_KEYS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < ds_config_n_keys; i++) {
        if (ds_config_key_is_in(&ds_config_keys[i], section))
            names[n++] = ds_config_key_leaf(&ds_config_keys[i]);
    }
    for (size_t i = 0; i < n; i++)
        add_or(out, i, n, names[i]);
}

/* ---- what was probably meant ---- */

enum { WORD_MAX = 40 };

/* Lower case, with '_' for '-'; the length, or 0 for words that are too long to guess. */
static size_t fold(const char *word, char out[WORD_MAX])
{
    size_t len = strlen(word);

    if (len >= WORD_MAX)
        return 0;
    for (size_t i = 0; i <= len; i++) {
        out[i] = word[i] == '-' ? '_' : word[i];
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] - 'A' + 'a');
    }
    return len;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Letters to add, drop, change or swap with their neighbour to get from a to b. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[WORD_MAX + 1][WORD_MAX + 1];

    for (size_t i = 0; i <= a_len; i++) {
        rows[i][0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            if (i == 0) {
                rows[i][j] = (unsigned)j;
                continue;
            }
            rows[i][j] = least(rows[i - 1][j], rows[i][j - 1]) + 1;
            rows[i][j] = least(rows[i][j], rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
        }
    }
    return rows[a_len][b_len];
}

unsigned ds_config_slips(const char *a, const char *b)
{
    char x[WORD_MAX], y[WORD_MAX];
    size_t x_len = fold(a, x), y_len = fold(b, y);
    size_t shorter = x_len < y_len ? x_len : y_len;
    unsigned slips;

    if (!shorter)
        return DS_CONFIG_FAR;
    slips = distance(x, x_len, y, y_len);
    if (slips <= (shorter < 5 ? 1 : 2))
        return slips;
    return shorter >= 4 && memcmp(x, y, shorter) == 0 ? 3 : DS_CONFIG_FAR;
}

const struct ds_config_key *ds_config_key_guess(const char *section, const char *leaf)
{
    const struct ds_config_key *best = NULL;
    unsigned best_slips = DS_CONFIG_FAR;

    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        unsigned slips = ds_config_slips(ds_config_key_leaf(key), leaf);

        if (slips < best_slips && ds_config_key_is_in(key, section)) {
            best_slips = slips;
            best = key;
        }
    }
    return best;
}

const struct ds_config_key *ds_config_key_elsewhere(const char *leaf)
{
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        if (strcmp(ds_config_key_leaf(&ds_config_keys[i]), leaf) == 0)
            return &ds_config_keys[i];
    }
    return NULL;
}
