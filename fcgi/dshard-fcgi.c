/* SPDX-License-Identifier: Apache-2.0 */
/* dshard-fcgi.c - starts what the command line and the surroundings ask for. */
#include "cgi.h"
#include "dshard/clock.h"
#include "dshard/log.h"
#include "dshard/process.h"
#include "options.h"
#include "transport.h"
#include "workers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HELP_MAX = 8192 };

/* FastCGI programs may be started with descriptor 0 alone; nothing that is opened later
   may get the number of stderr. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* A worker, or the only process: has its own view of the state file. */
static int serve(struct ds_listen *listening, const struct ds_options *options,
                 struct ds_stats *stats, struct ds_keepsake *keepsake,
                 struct ds_error *err)
{
    DS_AUTO(cache)
    struct ds_cache *cache = ds_cache_new(options->state, stats, keepsake);
    DS_AUTO(str) char *host = ds_process_host();
    struct ds_responder_config config = {.cache = cache,
                                         .mode = options->mode,
                                         .prefix = options->prefix,
                                         .host = host,
                                         .stats = stats};
    DS_AUTO(responder) struct ds_responder *responder = ds_responder_new(&config, err);

    if (!responder)
        return -1;
    if (ds_cache_start(cache, err) < 0)
        return -1;
    return ds_transport_run(listening, responder, err);
}

static int serve_all(struct ds_listen *listening, const struct ds_options *options,
                     struct ds_error *err)
{
    unsigned n = options->workers ? options->workers : 1;
    DS_AUTO(stats)
    struct ds_stats *stats = ds_stats_new(n, ds_clock_wall_ms(), err);
    DS_AUTO(keepsake) struct ds_keepsake *keepsake = NULL; /* one alone has no heir */
    int worker = 0;

    if (!stats)
        return -1;
    if (options->workers) {
        keepsake = ds_keepsake_new(err);
        if (!keepsake)
            return -1;
        if (ds_workers_run(listening, n, &worker, err) < 0)
            return -1;
        if (worker == DS_WORKERS_PARENT)
            return 0;
    }
    ds_stats_begin(stats, (unsigned)worker);
    return serve(listening, options, stats, keepsake, err);
}

/* FastCGI programs get no request in their environment, but their socket as fd 0. */
static bool is_cgi(void)
{
    return ds_cgi_is_wanted() && !ds_listen_can_adopt(STDIN_FILENO);
}

/* Nothing is counted: the counters would end with the process. */
static int answer_cgi(const struct ds_options *options, struct ds_error *err)
{
    DS_AUTO(cache) struct ds_cache *cache = ds_cache_new(options->state, NULL, NULL);
    DS_AUTO(str) char *host = ds_process_host();
    struct ds_responder_config config = {
        .cache = cache, .mode = options->mode, .prefix = options->prefix, .host = host};

    ds_log_set_level(DS_LOG_WARN); /* a line for each request would be no news */
    return ds_cgi_run(&config, err);
}

static int run(struct ds_options *options, struct ds_error *err)
{
    DS_AUTO(listen) struct ds_listen listening = DS_LISTEN_INIT;

    fill_standard_descriptors();
    if (is_cgi())
        return answer_cgi(options, err);
    ds_transport_block_signals();
    if (options->listen) {
        if (ds_listen_open(&listening, options->listen, options->socket_mode, err) < 0)
            return -1;
    } else if (ds_listen_adopt(&listening, STDIN_FILENO, err) < 0) {
        return ds_fail(err, DS_E_USAGE,
                       "nothing to serve: give --listen, or start it by a web server");
    }
    ds_log(DS_LOG_INFO, "serving", "listen",
           options->listen ? options->listen : "descriptor 0", "state", options->state,
           "mode", ds_mode_name(options->mode), "prefix", options->prefix, "version",
           DS_VERSION, NULL);
    return serve_all(&listening, options, err);
}

static void print_help(void)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(HELP_MAX);

    ds_options_help(&text);
    fputs(text.data, stdout);
}

int main(int argc, char **argv)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_options options;
    /* A CGI program's arguments are the client's words: those of a query without "="
       (RFC 3875, section 4.4). */
    int n = is_cgi() ? 0 : argc - 1;
    int rc = ds_options_parse(&options, n, argv + 1, getenv("DSHARD_STATE"), &err);

    if (rc == 0 && options.help)
        print_help();
    else if (rc == 0 && options.version)
        puts("dshard-fcgi " DS_VERSION);
    else if (rc == 0)
        rc = run(&options, &err);
    if (rc == 0 && fflush(stdout) != 0)
        rc = ds_fail_errno(&err, "cannot write to stdout");
    if (rc == 0)
        return 0;
    fprintf(stderr, "dshard-fcgi: %s\n", err.text);
    return ds_code_exit_status(err.code);
}
