/* SPDX-License-Identifier: Apache-2.0 */
/* see options.h */
#include "options.h"
#include "dshard/num.h"
#include "dshard/opt.h"
#include "workers.h"

static const char STATE_DEFAULT[] = "/var/lib/dshard/ring.json";
enum { SOCKET_MODE_DEFAULT = 0660 };

static const struct ds_opt opts[] = {
    {"listen", '\0', DS_OPT_TEXT, offsetof(struct ds_options, listen), "WHERE",
     "unix:PATH or HOST:PORT; without it: descriptor 0, or CGI"},
    {"state", '\0', DS_OPT_TEXT, offsetof(struct ds_options, state), "FILE",
     "the state file; else $DSHARD_STATE, else /var/lib/dshard/ring.json"},
    {"mode", '\0', DS_OPT_TEXT, offsetof(struct ds_options, mode_text), "MODE",
     "what a push is answered with: redirect (default), proxy, auth"},
    {"prefix", '\0', DS_OPT_TEXT, offsetof(struct ds_options, prefix), "/PATH",
     "cut from the front of request paths"},
    {"workers", '\0', DS_OPT_TEXT, offsetof(struct ds_options, workers_text), "N",
     "as many worker processes, and a parent that restarts them"},
    {"socket-mode", '\0', DS_OPT_TEXT, offsetof(struct ds_options, socket_mode_text),
     "MODE", "permissions of a unix socket in octal; default 0660"},
    {"help", 'h', DS_OPT_FLAG, offsetof(struct ds_options, help), NULL, "this text"},
    {"version", '\0', DS_OPT_FLAG, offsetof(struct ds_options, version), NULL,
     "the version"},
};

/* Three octal digits, with or without the 0 in front. */
static int parse_socket_mode(const char *text, unsigned *out, struct ds_error *err)
{
    const char *digits = text + (text[0] == '0' && strlen(text) == 4);
    unsigned mode = 0;

    if (strlen(digits) != 3 || strspn(digits, "01234567") != 3)
        return ds_fail(err, DS_E_USAGE,
                       "--socket-mode: '%s' is no mode like 0660 or 0666", text);
    for (; *digits; digits++)
        mode = mode << 3 | (unsigned)(*digits - '0');
    *out = mode;
    return 0;
}

static int parse_workers(const char *text, unsigned *out, struct ds_error *err)
{
    uint64_t n;

    if (ds_num_parse(text, 1, DS_WORKERS_MAX, &n, err) < 0) {
        err->code = DS_E_USAGE;
        return ds_wrap(err, "--workers");
    }
    *out = (unsigned)n;
    return 0;
}

static int convert(struct ds_options *options, struct ds_error *err)
{
    if (options->mode_text && ds_mode_parse(options->mode_text, &options->mode) < 0)
        return ds_fail(err, DS_E_USAGE, "--mode: '%s' is not redirect, proxy or auth",
                       options->mode_text);
    if (options->prefix && ds_prefix_check(options->prefix, err) < 0)
        return ds_wrap(err, "--prefix");
    if (options->workers_text &&
        parse_workers(options->workers_text, &options->workers, err) < 0)
        return -1;
    if (options->socket_mode_text)
        return parse_socket_mode(options->socket_mode_text, &options->socket_mode, err);
    return 0;
}

int ds_options_parse(struct ds_options *options, int argc, char **argv,
                     const char *environment_state, struct ds_error *err)
{
    struct ds_opt_set set = {opts, DS_COUNT(opts), options};
    struct ds_opt_list operands = {0};
    int rc;

    *options = (struct ds_options){.socket_mode = SOCKET_MODE_DEFAULT};
    rc = ds_opt_parse(&set, 1, argc, argv, false, &operands, NULL, err);
    if (rc == 0 && operands.n)
        rc = ds_fail(err, DS_E_USAGE, "'%s' is not expected: there are only options",
                     operands.items[0]);
    ds_opt_list_release(&operands);
    if (rc < 0)
        return rc;
    if (!options->state)
        options->state =
            environment_state && *environment_state ? environment_state : STATE_DEFAULT;
    if (!*options->state)
        return ds_fail(err, DS_E_USAGE, "--state is empty");
    return convert(options, err);
}

void ds_options_help(struct ds_buf *out)
{
    ds_buf_adds(out,
                "usage: dshard-fcgi [OPTION]...\n\n"
                "Tells a web server, over FastCGI or CGI, which Pushgateway owns the\n"
                "group of a push.  It reads the state file that dshard writes.\n\n");
    ds_opt_help(opts, DS_COUNT(opts), out);
    ds_buf_adds(out, "\nSee dshard-fcgi(8).\n");
}
