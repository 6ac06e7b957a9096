/* SPDX-License-Identifier: Apache-2.0 */
/* see progress.h */
#include "progress.h"
#include "dshard/clock.h"
#include "dshard/num.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    REDRAW_MS = 100,
    LINE_MS = 5000, /* between two lines when there is no bar */
    WAIT_MS = 60000,
    MOMENT_MS = 10000,
    COLUMNS_DEFAULT = 80,
    BAR_MIN = 8,
    BAR_MAX = 40,
    TEXT_MAX = 256,
};

void ds_cmd_progress_init(struct ds_cmd_progress *progress,
                          const struct ds_cmd_context *ctx, const char *what)
{
    *progress = (struct ds_cmd_progress){
        .ctx = ctx,
        .what = what,
        .bar = isatty(STDERR_FILENO) && !ctx->common.quiet && !ctx->common.verbose,
    };
}

static size_t columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

/* "120/200  41/s  2s left"; rate and time only when there is something to tell. */
static void add_figures(const struct ds_cmd_progress *progress, int64_t now_ms,
                        struct ds_buf *out)
{
    char left[DS_DURATION_TEXT_MAX], due[DS_CLOCK_TEXT_MAX];
    int64_t took_ms = now_ms - progress->began_ms;
    double per_s;

    ds_buf_addf(out, "%zu/%zu", progress->n_done, progress->n_all);
    if (progress->due_ms == INT64_MAX) {
        ds_buf_adds(out, "  waiting");
        return;
    }
    if (progress->due_ms) {
        ds_clock_format(progress->due_ms, due);
        ds_buf_addf(out, "  waiting, next at %.8s UTC", due + strlen("2026-01-31T"));
        return;
    }
    if (!progress->n_done || took_ms < REDRAW_MS)
        return;
    per_s = (double)progress->n_done * 1000.0 / (double)took_ms;
    ds_duration_format_short(
        (int64_t)((double)(progress->n_all - progress->n_done) / per_s * 1000.0), left);
    ds_buf_addf(out, per_s < 10 ? "  %.1f/s" : "  %.0f/s", per_s);
    if (progress->n_done < progress->n_all)
        ds_buf_addf(out, "  %s left", left);
}

static void draw(struct ds_cmd_progress *progress, int64_t now_ms)
{
    DS_AUTO(buf) struct ds_buf figures = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(buf) struct ds_buf line = DS_BUF_INIT(TEXT_MAX * 2);
    size_t room, width;

    add_figures(progress, now_ms, &figures);
    ds_buf_addf(&line, "\r%s ", progress->what);
    room = columns();
    width = line.len + figures.len + 4 < room ? room - line.len - figures.len - 4 : 0;
    if (width > BAR_MAX)
        width = BAR_MAX;
    if (width >= BAR_MIN) {
        ds_buf_addc(&line, '[');
        for (size_t i = 0; i < width; i++)
            ds_buf_addc(&line,
                        i * progress->n_all < width * progress->n_done ? '#' : '-');
        ds_buf_adds(&line, "] ");
    }
    fprintf(stderr, "%s%s\033[K", line.data, figures.data);
    fflush(stderr);
    progress->drawn = true;
}

void ds_cmd_progress_show(struct ds_cmd_progress *progress, size_t n_done, size_t n_all)
{
    int64_t now_ms = ds_clock_mono_ms();
    bool first = !progress->began_ms;

    if (first)
        progress->began_ms = progress->shown_ms = now_ms;
    progress->n_done = n_done < n_all ? n_done : n_all;
    progress->n_all = n_all;
    if (!first && now_ms - progress->shown_ms < (progress->bar ? REDRAW_MS : LINE_MS))
        return;
    progress->shown_ms = now_ms;
    if (progress->bar) {
        draw(progress, now_ms);
    } else if (!first) {
        DS_AUTO(buf) struct ds_buf figures = DS_BUF_INIT(TEXT_MAX);

        add_figures(progress, now_ms, &figures);
        ds_cmd_say(progress->ctx, "%s: %s", progress->what, figures.data);
    }
}

void ds_cmd_progress_wait(struct ds_cmd_progress *progress, const char *text,
                          int64_t due_ms)
{
    int64_t now_ms = ds_clock_mono_ms();

    progress->due_ms = text ? due_ms : 0;
    if (!text)
        return;
    if (!progress->waits_ms)
        progress->waits_ms = now_ms;
    if (due_ms - ds_clock_wall_ms() < MOMENT_MS &&
        now_ms - progress->waits_ms < MOMENT_MS)
        return;
    if (progress->told_ms && now_ms - progress->told_ms < WAIT_MS)
        return;
    progress->told_ms = now_ms;
    ds_cmd_progress_clear(progress);
    ds_cmd_warn(progress->ctx, "%s", text);
}

void ds_cmd_progress_clear(struct ds_cmd_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
