/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - runs one command, prints its result or its error, and says so by exit status.
 */
#include "cmd/cmd.h"

#include <signal.h>
#include <stdio.h>

/* A full disk behind stdout is an error, not a detail. */
static int write_result(const struct ds_buf *out, struct ds_error *err)
{
    if (ds_buf_check(out, "the result", err) < 0)
        return -1;
    if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
        return ds_fail_errno(err, "cannot write the result");
    return 0;
}

int main(int argc, char **argv)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_cmd_context ctx = {
        .common.timeout_ms = -1,
        .out = DS_BUF_INIT(DS_OUT_MAX),
        .complaints = DS_BUF_INIT(DS_OUT_MAX),
    };
    int rc;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of write() */
    rc = ds_cmd_dispatch(&ctx, argc - 1, argv + 1, &err);
    /* A command may have a result and an error: "3 of 4 done". */
    if (ctx.out.len || ctx.out.over) {
        struct ds_error write_err = DS_ERROR_INIT;

        if (write_result(&ctx.out, &write_err) < 0 && rc == 0) {
            err = write_err;
            rc = -1;
        }
    }
    fwrite(ctx.complaints.data, 1, ctx.complaints.len, stderr);
    if (rc < 0 && err.text[0])
        fprintf(stderr, "dshard: %s\n", err.text);
    ds_buf_release(&ctx.out);
    ds_buf_release(&ctx.complaints);
    return rc < 0 ? ds_code_exit_status(err.code) : 0;
}
