/* SPDX-License-Identifier: Apache-2.0 */
/* see page.h */
#include "dshard/aim.h"
#include "dshard/date.h"
#include "dshard/num.h"
#include "page_impl.h"
#include "svg_impl.h"

/* Of the verdict: classes of the style, and signs for who sees no colours. */
static const struct {
    const char *class, *sign, *colour;
} looks[DS_N_VERDICTS] = {
    [DS_VERDICT_HEALTHY] = {"ok", "\xE2\x9C\x93", "1a7f4b"},
    [DS_VERDICT_DEGRADED] = {"warn", "!", "b26a00"},
    [DS_VERDICT_CRITICAL] = {"bad", "\xE2\x9C\x95", "b3261e"},
};

static const char STYLE[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;"
    "--line:#d8dee4;--card:#f5f7f9;--bar:#0072b2;--ok:#12693c;--okb:#e3f4ea;"
    "--warn:#7a4800;--warnb:#fdf0d8;--bad:#b3261e;--badb:#fce8e6}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6e9ec;--dim:#9aa4ae;"
    "--line:#343b43;--card:#1c2127;--bar:#56b4e9;--ok:#6fd39b;--okb:#12301f;"
    "--warn:#f5bd5c;--warnb:#362709;--bad:#ff8a80;--badb:#401512}}"
    "*{box-sizing:border-box}"
    "body{margin:0;overflow-wrap:anywhere;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}"
    "main{max-width:1040px;margin:0 auto;padding:16px}"
    "h2{font-size:17px;margin:28px 0 8px}h2+p{margin:-4px 0 "
    "6px}a{color:inherit}small,.dim{color:var(--dim)}"
    ".v{border-left:6px solid;border-radius:6px;padding:10px 16px;display:flex;"
    "flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:4px 16px}"
    ".v h1{font-size:22px;line-height:1.2;margin:0}.v p{margin:0;color:var(--fg)}"
    ".v ul{margin:4px 0 2px;padding-left:20px;color:var(--fg)}"
    ".at time{white-space:nowrap}.v h1~:not(.at){flex:0 0 100%}"
    ".v.ok{background:var(--okb)}.v.warn{background:var(--warnb)}"
    ".v.bad{background:var(--badb)}.ok{color:var(--ok)}.warn{color:var(--warn)}"
    ".bad{color:var(--bad)}"
    ".servers td:nth-child(3){overflow-wrap:break-word}"
    ".top{display:grid;grid-template-columns:minmax(200px,300px) minmax(0,1fr);"
    "gap:28px;align-items:center;margin-top:20px}"
    ".top svg{display:block;width:100%;order:-1}code{font:13px ui-monospace,monospace}"
    ".facts th,.facts td{border:0}.facts th,.facts td{padding-bottom:2px}"
    ".facts{width:auto;justify-self:start}"
    "svg.bal{display:block;max-width:420px;width:100%;margin-top:20px}"
    "table{border-collapse:collapse;width:100%}"
    "th{text-align:left;font-weight:500;color:var(--dim);"
    "border-bottom:1px solid var(--line)}"
    "th,td{padding:5px 18px 5px 0;vertical-align:top;white-space:nowrap}"
    ".w{white-space:normal}td{border-bottom:1px solid var(--line)}.r{text-align:right}"
    "td:last-child,th:last-child{padding-right:0}"
    "td i{display:inline-block;min-width:26px;padding:0 4px;border-radius:4px;"
    "font-style:normal;font-size:13px;text-align:center;border:1px solid transparent}"
    "td i.no{border-color:var(--line);color:var(--dim)}.k0,.k2,.k4,.k6{color:#fff}"
    ".k1,.k3,.k5,.k7{color:#000}.why{color:var(--dim);font-size:13px}"
    "td b{font-weight:600}.share{width:18%;min-width:64px}"
    ".share:after{content:'';display:block;height:6px;margin-top:3px;"
    "border-radius:2px;"
    "background:linear-gradient(var(--fg),var(--fg)) var(--f) 0/2px 100% no-repeat,li"
    "near-gradient(90deg,var(--bar) var(--p),var(--line) 0)}"
    "footer{margin-top:28px;font-size:13px;color:var(--dim)}"
    "@media(max-width:640px){.top{grid-template-columns:1fr;gap:16px}"
    ".top svg{max-width:260px;margin:0 auto}main{padding:10px}body{font-size:14px}}"
    /* A table that is too wide becomes a list, of two lines for each row. */
    "@media(max-width:760px){.rows thead{display:none}.rows,.rows tbody{display:block}"
    ".rows tr{display:flex;flex-wrap:wrap;gap:0 12px;padding:6px 0;border-bottom:1px "
    "solid var(--line)}"
    ".rows td{border:0;padding:0;text-align:left}.rows td:before{color:var(--dim)}"
    ".servers td:nth-child(2){flex:1 1 calc(100% - 160px);min-width:0}"
    ".servers td:nth-child(6){width:90px}.servers td:nth-child(3){margin-left:38px}"
    ".servers td:nth-child(n+3):not(:nth-child(6)){order:1;font-size:13px}"
    ".servers td:nth-child(4):before{content:'since '}"
    ".servers td:nth-child(5):before{content:'weight '}"
    ".servers td:nth-child(7):before{content:'pushes '}"
    ".changes td:nth-child(3){order:1;flex:1 1 100%}.changes "
    "td:nth-child(4){margin-left:auto}"
    ".changes td:nth-child(4):after{content:' moved'}.changes "
    "td:nth-child(5):before{content:'gen. '}}";

/* What only groups are left of is the watch's to end, and its `status` knows them. */
static bool is_told_interrupted(const struct ds_state *state)
{
    enum ds_aim aim = ds_aim_of(state);

    return state->operation_kind && (aim == DS_AIM_NONE || aim == DS_AIM_OPEN);
}

bool ds_page_has_operation(const struct ds_page *page)
{
    return page->state->operation_kind &&
           !(page->operation_is_dead && ds_aim_of(page->state) == DS_AIM_OVER);
}

void ds_page_judge(const struct ds_page *page, struct ds_status *status)
{
    const struct ds_trouble *trouble =
        page->troubles && page->troubles->n ? &page->troubles->items[0] : NULL;
    char age[DS_DURATION_TEXT_MAX];

    if (!page->state) {
        *status = (struct ds_status){0};
        ds_status_add(status, DS_VERDICT_CRITICAL,
                      "no state of the ring is known: every push is answered with 503");
    } else {
        ds_status_judge(status, page->state, page->now_ms);
        if (page->operation_is_dead && is_told_interrupted(page->state))
            ds_status_add_interrupted(status, page->state, page->now_ms);
    }
    if (!trouble || trouble->until_ms)
        return;
    ds_duration_format_short(page->now_ms - trouble->since_ms, age);
    ds_status_add(status, DS_VERDICT_DEGRADED, "the state file cannot be used for %s: %s",
                  age, trouble->text);
}

void ds_page_add_time(const struct ds_page *page, int64_t at_ms, const char *behind,
                      struct ds_buf *out)
{
    char age[DS_DURATION_TEXT_MAX], stamp[DS_DATE_TEXT_MAX];

    if (!at_ms) {
        ds_buf_adds(out, "never");
        return;
    }
    ds_duration_format_short(page->now_ms - at_ms, age);
    ds_date_format(at_ms, stamp);
    ds_buf_addf(out, "<time datetime=\"%s\" title=\"%s\">%s%s</time>", stamp, stamp, age,
                behind);
}

static void add_head(const struct ds_page *page, const struct ds_status *status,
                     struct ds_buf *out)
{
    ds_buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                     "<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width\">\n");
    if (page->reloads)
        ds_buf_addf(out, "<meta http-equiv=\"refresh\" content=\"%d\">\n",
                    DS_PAGE_RELOAD_S);
    ds_buf_adds(out, "<title>");
    if (page->host) { /* first, to tell one tab from the others */
        ds_svg_add_text(out, page->host);
        ds_buf_adds(out, ": ");
    }
    ds_buf_addf(out, "%s, %zu of %zu members - dshard</title>\n",
                ds_verdict_name(status->verdict), status->n_members, status->n_servers);
    /* A dot in the colour of the verdict, for the tab. */
    ds_buf_addf(out,
                "<link rel=\"icon\" href=\"data:image/svg+xml,%%3Csvg "
                "xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%%3E%%3Ccircle "
                "cx='8' cy='8' r='7' fill='%%23%s'/%%3E%%3C/svg%%3E\">\n<style>",
                looks[status->verdict].colour);
    ds_buf_adds(out, STYLE);
    if (page->state)
        ds_buf_adds(out, ds_svg_style());
    ds_buf_adds(out, "</style>\n</head>\n<body>\n<main>\n");
}

/* Who says so, and when: the ages below do not grow while the page is looked at. */
static void add_whose(const struct ds_page *page, struct ds_buf *out)
{
    char now[DS_DATE_TEXT_MAX];

    ds_buf_adds(out, "<p class=\"at\">dshard");
    if (page->host) {
        ds_buf_adds(out, " on <b>");
        ds_svg_add_text(out, page->host);
        ds_buf_adds(out, "</b>");
    }
    ds_date_format(page->now_ms, now);
    ds_buf_addf(out, ", as of <time datetime=\"%s\">", now);
    ds_buf_add(out, now, strcspn(now, "T"));
    ds_buf_addf(out, " %.8s UTC</time></p>\n", now + strcspn(now, "T") + 1);
}

static void add_verdict(const struct ds_page *page, const struct ds_status *status,
                        struct ds_buf *out)
{
    const char *class = looks[status->verdict].class;

    ds_buf_addf(out, "<header class=\"v %s\">\n<h1>%s %s</h1>\n", class,
                looks[status->verdict].sign, ds_verdict_name(status->verdict));
    add_whose(page, out);
    if (page->state)
        ds_buf_addf(out, "<p>%zu of %zu servers are members, %zu up</p>\n",
                    status->n_members, status->n_servers, status->n_up);
    if (status->n_problems)
        ds_buf_adds(out, "<ul>\n");
    for (size_t i = 0; i < status->n_problems; i++) {
        ds_buf_adds(out, "<li>");
        ds_buf_add_html(out, status->problems[i].data, status->problems[i].len);
        ds_buf_adds(out, "</li>\n");
    }
    if (status->n_problems)
        ds_buf_adds(out, "</ul>\n");
    ds_buf_adds(out, "</header>\n");
}

static void add_operation(const struct ds_page *page, struct ds_buf *out)
{
    const struct ds_state *state = page->state;

    if (!ds_page_has_operation(page))
        return;
    ds_buf_adds(out, "<tr><th>operation</th><td class=\"w\">");
    ds_svg_add_text(out, state->operation_kind);
    ds_buf_adds(out, ": ");
    ds_svg_add_text(out, state->operation_step);
    ds_buf_adds(out, page->operation_is_dead ? " <b class=\"warn\">interrupted</b>" : "");
    ds_buf_adds(out, " <span class=\"dim\">begun ");
    ds_page_add_time(page, state->operation_since_ms, DS_PAGE_AGO, out);
    ds_buf_adds(out, " by ");
    ds_svg_add_text(out, state->operation_by);
    ds_buf_adds(out, "</span></td></tr>\n");
}

static void add_facts(const struct ds_page *page, struct ds_buf *out)
{
    const struct ds_state *state = page->state;

    ds_buf_adds(out, "<table class=\"facts\">\n<tr><th>generation</th><td>");
    ds_buf_addu(out, state->generation);
    ds_buf_adds(out, "</td></tr>\n<tr><th>digest</th><td><code>");
    ds_svg_add_text(out, state->digest);
    ds_buf_adds(out, "</code></td></tr>\n<tr><th>last check</th><td>");
    ds_page_add_time(page, state->checked_at_ms, DS_PAGE_AGO, out);
    ds_buf_adds(out, "</td></tr>\n<tr><th>last change</th><td>");
    ds_page_add_time(page, state->n_history ? state->history[0].at_ms : 0, DS_PAGE_AGO,
                     out);
    ds_buf_adds(out, "</td></tr>\n");
    if (state->frozen_reason) {
        ds_buf_adds(out, "<tr><th>frozen</th><td class=\"w\"><b class=\"bad\">for ");
        ds_page_add_time(page, state->frozen_since_ms, "", out);
        ds_buf_adds(out, "</b>: ");
        ds_svg_add_text(out, state->frozen_reason);
        ds_buf_adds(out, "</td></tr>\n");
    }
    add_operation(page, out);
    ds_buf_addf(out,
                "<tr><th>follows</th><td>%s</td></tr>\n<tr><th>points</th><td>%u for "
                "weight 1</td></tr>\n"
                "</table>\n",
                state->consul ? "Consul" : "its own health checks", state->replicas);
}

static void add_state(const struct ds_page *page, struct ds_buf *out)
{
    DS_AUTO(svg_shares) struct ds_svg_shares shares;

    ds_svg_shares_init(&shares, page->state, page->ring);
    ds_buf_adds(out, "<div class=\"top\">\n");
    add_facts(page, out);
    ds_svg_donut(page->state, &shares, out);
    ds_buf_adds(out, "</div>\n");
    if (page->state->n_servers > DS_SVG_ROWS_MAX)
        ds_svg_balance(page->state, &shares, out);
    ds_page_add_servers(page, &shares, out);
    ds_page_add_changes(page, out);
}

static void add_foot(const struct ds_page *page, struct ds_buf *out)
{
    ds_buf_adds(out, "<footer>dshard-fcgi " DS_VERSION);
    if (page->state && page->state->written_by) {
        ds_buf_adds(out, "; state written ");
        ds_page_add_time(page, page->state->written_at_ms, DS_PAGE_AGO, out);
        ds_buf_adds(out, " by ");
        ds_svg_add_text(out, page->state->written_by);
    }
    if (page->state && page->pushes) {
        ds_buf_adds(out, "; pushes counted from ");
        ds_page_add_time(page, page->counted_since_ms, DS_PAGE_AGO, out);
    }
    ds_buf_adds(out, ".\nThe same <a href=\"status.json\">as JSON</a>; "
                     "<a href=\"metrics\">metrics</a>; "
                     "<a href=\"sd\">targets for Prometheus</a>.\n");
    /* Not without being asked: who reads a page, or has it read to him, would lose his
       place. */
    if (page->reloads)
        ds_buf_addf(out, "Reloads every %d s (<a href=\"status\">stop</a>)",
                    DS_PAGE_RELOAD_S);
    else
        ds_buf_addf(out, "<a href=\"status?reload\">Reload every %d s</a>",
                    DS_PAGE_RELOAD_S);
    ds_buf_adds(out, ".</footer>\n</main>\n</body>\n</html>\n");
}

void ds_page_html(const struct ds_page *page, struct ds_buf *out)
{
    DS_AUTO(status) struct ds_status status;

    ds_page_judge(page, &status);
    add_head(page, &status, out);
    add_verdict(page, &status, out);
    if (page->state)
        add_state(page, out);
    ds_page_add_troubles(page, out);
    add_foot(page, out);
}
