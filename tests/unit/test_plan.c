/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done about the copies of one group: each rule as a table. */
#include "test.h"

#include "fleet.h"

/* Times are in seconds here. */
struct row {
    const char *says;
    const char *copies; /* see fleet.h */
    size_t owner;
    const char *moves; /* NULL: none */
    bool waits;
    double due;     /* from now; 0: no time at which it is due */
    double changed; /* from now, the ring; 0: ten minutes ago */
    bool dedupe, never_changed, no_ring;
    size_t n_left, n_ownerless, n_stuck, n_ties;
    bool settles[FLEET], yields[FLEET], unreached[FLEET];
    struct {
        double least, most;
    } skew[FLEET];
    double leave;
    unsigned flags;
};

static void set_up(struct fleet *fleet, const struct row *row)
{
    fleet_start(fleet);
    fleet_add(fleet, "job\xffg", fleet_hash(fleet, row->owner), row->flags, row->copies);
    for (size_t i = 0; i < FLEET; i++) {
        struct ds_inventory *inventory = &fleet->inventories[i];

        inventory->reached = !row->unreached[i];
        inventory->skew_least_ms = (int64_t)(row->skew[i].least * 1000);
        inventory->skew_most_ms = (int64_t)(row->skew[i].most * 1000);
        fleet->servers[i].settles = row->settles[i];
        fleet->servers[i].yields = row->yields[i];
    }
    if (row->changed != 0)
        fleet->config.ring_changed_ms = NOW_MS + (int64_t)(row->changed * 1000);
    if (row->never_changed)
        fleet->config.ring_changed_ms = 0;
    if (row->no_ring)
        fleet->config.ring = NULL;
    if (row->dedupe)
        fleet->config.mode = DS_PLAN_DEDUPE;
    fleet->config.leave_older_than_ms = (int64_t)(row->leave * 1000);
}

/* What is due at due_ms is not due a millisecond before. */
static void check_due(struct fleet *fleet, const struct row *row)
{
    for (int64_t early_ms = 1; early_ms >= 0; early_ms--) {
        DS_AUTO(plan) struct ds_plan plan = {0};

        fleet->config.now_ms = NOW_MS + (int64_t)(row->due * 1000) - early_ms;
        ds_plan_make(&plan, &fleet->config, fleet->servers, FLEET);
        if (early_ms && (plan.n_moves || !plan.n_waiting))
            fail_msg("%s: is due before its time", row->says);
        if (!early_ms && !plan.n_moves)
            fail_msg("%s: nothing is due at its time", row->says);
    }
}

static void check_row(const struct row *row)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    const char *want = row->moves ? row->moves : "";
    struct fleet fleet;
    char got[256];
    int64_t due_ms = row->due != 0 ? NOW_MS + (int64_t)(row->due * 1000) : INT64_MAX;

    set_up(&fleet, row);
    ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
    fleet_tell(&plan, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s' instead of '%s'", row->says, got, want);
    if (plan.n_waiting != row->waits || plan.due_ms != due_ms)
        fail_msg("%s: %zu wait, until %+" PRId64 " ms instead of %+" PRId64, row->says,
                 plan.n_waiting, plan.due_ms - NOW_MS, due_ms - NOW_MS);
    if (plan.n_left != row->n_left || plan.n_ownerless != row->n_ownerless ||
        plan.n_stuck != row->n_stuck)
        fail_msg("%s: %zu left, %zu ownerless, %zu stuck", row->says, plan.n_left,
                 plan.n_ownerless, plan.n_stuck);
    if (plan.n_ties != row->n_ties)
        fail_msg("%s: %zu tie instead of %zu", row->says, plan.n_ties, row->n_ties);
    if (row->due != 0 && !row->moves)
        check_due(&fleet, row);
    fleet_end(&fleet);
}

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

static void a_group_at_home_stays(void **state)
{
    static const struct row rows[] = {
        {"at its owner", "A x@-10", .owner = A},
        {"at its owner, for ever", "A x@-99999999", .owner = A},
        {"at its owner, pushed in the future", "A x@3600", .owner = A},
        {"at its owner, without any family", "B push@-10", .owner = B},
        {"a phantom at its owner", "C fail@-9999", .owner = C},
        {"with a name that no URL says", "A x@-10", .owner = A,
         .flags = DS_GROUP_ODD_NAME},
        {"while the ring has just changed", "A x@-10", .owner = A, .changed = -1},
        {"older than what is left", "A x@-10", .owner = A, .leave = 5},
        {"without a ring", "D x@-9999", .owner = A, .no_ring = true},
        {"in dedupe mode, misplaced", "D x@-9999", .owner = A, .dedupe = true},
        {"in dedupe mode, a phantom", "D fail@-9999", .owner = A, .dedupe = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void a_lone_misplaced_group_is_copied_when_it_is_silent(void **state)
{
    static const struct row rows[] = {
        {"silent", "B x@-61 y@-70", .owner = A, .moves = "B=>A"},
        {"silent for just as long as it takes", "B x@-60", .owner = A, .moves = "B=>A"},
        {"pushed a moment ago", "B x@-0.1", .owner = A, .waits = true, .due = 59.9},
        {"one family pushed of late", "B x@-61 y@-59", .owner = A, .waits = true,
         .due = 1},
        {"on a server that is no member", "D x@-61", .owner = C, .moves = "D=>C"},
        {"an empty one", "B push@-61", .owner = A, .moves = "B=>A"},
        {"without push_time_seconds", "B x@-1700000000", .owner = A, .moves = "B=>A"},
        {"before the ring has settled", "B x@-999", .owner = A, .waits = true, .due = 1,
         .changed = -4},
        {"before the ring has settled, and pushed of late", "B x@-10", .owner = A,
         .waits = true, .due = 50, .changed = -4},
        {"on a server that is about to join", "B x@-999", .owner = A, .waits = true,
         .settles[B] = true},
        {"old data", "B x@-999", .owner = A, .moves = "B=>A", .yields[B] = true},
        {"to an owner that yields", "B x@-999", .owner = A, .moves = "B=>A",
         .yields[A] = true},
        {"when the ring has never changed", "B x@-999", .owner = A, .moves = "B=>A",
         .never_changed = true},
        {"too old to be copied", "B x@-86401", .owner = A, .leave = 86400, .n_left = 1},
        {"not too old to be copied", "B x@-86400", .owner = A, .moves = "B=>A",
         .leave = 86400},
        {"with a name that no URL says", "B x@-999", .owner = A, .n_stuck = 1,
         .flags = DS_GROUP_ODD_NAME},
        {"with a name that was replaced", "B x@-999", .owner = A, .n_stuck = 1,
         .flags = DS_GROUP_REPLACED},
        {"with labels that were guessed", "B x@-999", .owner = A, .n_stuck = 1,
         .flags = DS_GROUP_GUESSED},
        {"whose owner was not reached", "B x@-999", .owner = A, .waits = true,
         .n_ownerless = 1, .unreached[A] = true},
        {"and in dedupe mode it is no work", "B x@-999", .owner = A, .dedupe = true,
         .n_ownerless = 1, .unreached[A] = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void silence_is_measured_on_the_clock_of_the_server(void **state)
{
    static const struct row rows[] = {
        {"an hour ahead, silent", "B x@3500", .owner = A, .moves = "B=>A",
         .skew[B] = {3599, 3600}},
        {"an hour ahead, pushed of late", "B x@3590", .owner = A, .waits = true,
         .due = 51, .skew[B] = {3599, 3600}},
        {"an hour behind, pushed of late", "B x@-3610", .owner = A, .waits = true,
         .due = 51, .skew[B] = {-3601, -3600}},
        {"the widest view of the clock counts", "B x@-65", .owner = A, .waits = true,
         .due = 5, .skew[B] = {-10, 10}},
        {"in the future: since the ring changed", "B x@3600", .owner = A,
         .moves = "B=>A"},
        {"in the future, the ring changed of late", "B x@3600", .owner = A, .waits = true,
         .due = 35, .changed = -30},
        {"in a near future that comes first", "B x@10", .owner = A, .waits = true,
         .due = 70, .changed = -30},
        {"a tick ahead is no future", "B x@1.9", .owner = A, .waits = true, .due = 61.9},
        {"not too old either", "B x@3600", .owner = A, .moves = "B=>A", .leave = 1},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void a_phantom_is_dropped_when_it_is_silent(void **state)
{
    static const struct row rows[] = {
        {"misplaced and silent", "B fail@-61", .owner = A, .moves = "B!"},
        {"misplaced, failed of late", "B fail@-50", .owner = A, .waits = true, .due = 10},
        {"misplaced, never failed either", "B", .owner = A, .moves = "B!"},
        {"two of them, none at home", "B fail@-61; C fail@-70", .owner = A,
         .moves = "B!; C!"},
        {"two of them, one at home", "A fail@-1; C fail@-1", .owner = A, .moves = "C>A"},
        {"two of them, one at home, in the grace", "A fail@-1; C fail@-1", .owner = A,
         .waits = true, .due = 0.25, .changed = -1},
        {"on a server that is about to join", "B fail@-61", .owner = A, .waits = true,
         .settles[B] = true},
        {"beside a group", "B fail@-1; A x@-999", .owner = A, .moves = "B>A"},
        {"beside a group, at home", "A fail@-1; B x@-10", .owner = A, .moves = "B>A x"},
        {"beside a misplaced group, elsewhere", "B fail@-1; C x@-999", .owner = A,
         .moves = "B>C", .waits = true},
        {"at home in dedupe mode: who pushes may yet succeed", "A fail@-1; B x@-10",
         .owner = A, .waits = true, .due = 59, .dedupe = true},
        {"at home in dedupe mode, silent", "A fail@-61; B x@-10", .owner = A,
         .moves = "A>B", .dedupe = true},
        {"two of them in dedupe mode, one at home", "A fail@-99; B fail@-1", .owner = A,
         .moves = "B>A", .dedupe = true},
        {"two of them in dedupe mode", "C fail@-1; B fail@-1", .owner = A, .moves = "B>C",
         .dedupe = true},
        {"two of them without a ring", "C fail@-1; B fail@-1", .owner = A, .moves = "B>C",
         .no_ring = true},
        {"failed in the future", "B fail@3600", .owner = A, .moves = "B!"},
        {"whose owner was not reached", "B fail@-99", .owner = A, .waits = true,
         .n_ownerless = 1, .unreached[A] = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void what_was_pushed_to_the_owner_since_the_ring_changed_is_newest(void **state)
{
    static const struct row rows[] = {
        {"by its own clock", "A x@-590; B x@-6", .owner = A, .moves = "B>A"},
        {"whatever the other clock says", "A x@-590; B x@-6", .owner = A, .moves = "B>A",
         .skew[B] = {-3600, -3600}},
        {"not in the grace", "A x@-596; B x@-6", .owner = A, .moves = "B>A x"},
        {"not at its very end", "A x@-595; B x@-6", .owner = A, .moves = "B>A x"},
        {"just after", "A x@-594.999; B x@-6", .owner = A, .moves = "B>A"},
        {"the owner's clock is ahead: not", "A x@-590; B x@-6", .owner = A,
         .moves = "B>A x", .skew[A] = {10, 10}},
        {"the owner's clock is behind", "A x@-600; B x@-6", .owner = A, .moves = "B>A",
         .skew[A] = {-10, -10}},
        {"the owner's clock may be ahead: not", "A x@-590; B x@-6", .owner = A,
         .moves = "B>A x", .skew[A] = {-10, 10}},
        {"not in the future", "A x@3600; B x@-10", .owner = A, .waits = true, .due = 290,
         .n_ties = 2},
        {"when no change is known, times decide", "A x@-590; B x@-6", .owner = A,
         .moves = "B>A x", .never_changed = true},
        {"in dedupe mode", "A x@-590; B x@-6", .owner = A, .moves = "B>A",
         .dedupe = true},
        {"what a server that hung took late does not win", "A x@-596; B x@-8", .owner = A,
         .moves = "B>A", .settles[B] = true},
        {"what it took in time does", "A x@-599; B x@-596", .owner = A, .moves = "B>A x",
         .settles[B] = true},
        {"not elsewhere", "B x@-590; C x@-1", .owner = A, .moves = "B>C", .waits = true},
        {"also where the owner yields", "A x@-590; B x@-6", .owner = A, .moves = "B>A",
         .yields[A] = true},
        {"family by family", "A x@-590 y@-700 z@-601; B x@-1 y@-650 z@-601", .owner = A,
         .moves = "B>A y"},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void else_the_latest_push_is_newest(void **state)
{
    static const struct row rows[] = {
        {"at home", "A x@-700; B x@-800", .owner = A, .moves = "B>A"},
        {"at home, of three", "A x@-700; B x@-800; D x@-900", .owner = A,
         .moves = "B>A; D>A"},
        {"elsewhere", "A x@-800; B x@-700", .owner = A, .moves = "B>A x"},
        {"elsewhere, but nothing in it is", "A x@-800; B push@-700 x@-900", .owner = A,
         .moves = "B>A"},
        {"none at home", "B x@-800; C x@-700", .owner = A, .moves = "B>C", .waits = true},
        {"the clock ahead is corrected", "A x@-700; B x@2800", .owner = A, .moves = "B>A",
         .skew[B] = {3600, 3600}},
        {"the clock behind is corrected", "A x@-700; B x@-4290", .owner = A,
         .moves = "B>A x", .skew[B] = {-3600, -3600}},
        {"dedupe: elsewhere", "A x@-800; B x@-700", .owner = A, .moves = "A>B",
         .dedupe = true},
        {"dedupe: of three", "A x@-800; B x@-900; C x@-700", .owner = A,
         .moves = "A>C; B>C", .dedupe = true},
        {"without a ring", "A x@-800; B x@-700", .owner = A, .moves = "A>B",
         .no_ring = true},
        {"on a server that is about to join: it is cleaned", "A x@-700; D x@-800",
         .owner = A, .moves = "D>A", .settles[D] = true},
        {"on a server that is about to join, newest", "A x@-800; D x@-700", .owner = A,
         .moves = "D>A x", .settles[D] = true},
        {"a server that yields never wins", "A x@-800; D x@-700", .owner = A,
         .moves = "D>A", .yields[D] = true},
        {"the owner never wins if it yields", "A x@-700; B x@-800", .owner = A,
         .moves = "B>A x", .yields[A] = true},
        {"but what came to the owner since the ring changed is no old data",
         "A x@-6; B x@-20", .owner = A, .moves = "B>A", .changed = -8, .yields[A] = true},
        {"both yield", "B x@-700; D x@-800", .owner = A, .moves = "D>B", .waits = true,
         .yields = {[B] = true, [D] = true}},
        {"dedupe: a server that yields", "B x@-9999; D x@-7", .owner = A, .moves = "D>B",
         .dedupe = true, .yields[D] = true},
        {"without a push time", "A x@-1700000000; B x@-700", .owner = B, .moves = "A>B"},
        {"with a name that no URL says", "A x@-700; B x@-800", .owner = A, .n_stuck = 1,
         .flags = DS_GROUP_ODD_NAME},
        {"dedupe: with a name that was replaced", "A x@-700; B x@-800", .owner = A,
         .n_stuck = 1, .flags = DS_GROUP_REPLACED, .dedupe = true},
        {"the owner was not reached, and may have a newer one", "B x@-700; C x@-800",
         .owner = A, .waits = true, .n_ownerless = 1, .unreached[A] = true},
        {"a server that was not reached has no say", "A x@-800; B x@-700", .owner = A,
         .unreached[B] = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void a_tie_waits_and_then_the_owner_or_the_higher_name_keeps_it(void **state)
{
    static const struct row rows[] = {
        {"at home", "A x@-700; B x@-701", .owner = A, .moves = "B>A"},
        {"at home, of late", "A x@-100; B x@-101", .owner = A, .waits = true, .due = 200,
         .changed = -99, .n_ties = 2},
        {"at home, the other one is a little later", "A x@-101; B x@-100", .owner = A,
         .waits = true, .due = 200, .changed = -99, .n_ties = 2},
        {"just over", "A x@-302; B x@-300", .owner = A, .moves = "B>A", .changed = -290},
        {"two seconds are a tie", "A x@-102; B x@-100", .owner = A, .waits = true,
         .due = 200, .changed = -99, .n_ties = 2},
        {"more are none", "A x@-102.001; B x@-100", .owner = A, .moves = "B>A x",
         .changed = -99},
        {"elsewhere", "B x@-100; C x@-101", .owner = A, .waits = true, .due = 200,
         .n_ties = 2},
        {"elsewhere, over: the lower name goes", "B x@-301; C x@-302", .owner = A,
         .moves = "B>C", .waits = true},
        {"dedupe: over, at home", "A x@-701; B x@-700", .owner = A, .moves = "B>A",
         .dedupe = true},
        {"dedupe: over, elsewhere", "B x@-701; C x@-702", .owner = A, .moves = "B>C",
         .dedupe = true},
        {"without a ring", "A x@-701; B x@-700", .owner = A, .moves = "A>B",
         .no_ring = true},
        {"the third one is in no doubt", "B x@-100; C x@-101; D x@-200", .owner = A,
         .moves = "D>C", .waits = true, .due = 200, .n_ties = 2},
        {"not when the owner has one", "A x@-101; B x@-100; D x@-200", .owner = A,
         .moves = "D>A", .waits = true, .due = 200, .changed = -99, .n_ties = 2},
        {"a wide view of one clock", "A x@-110; B x@-100", .owner = A, .waits = true,
         .due = 210, .changed = -99, .skew[B] = {-10, 10}, .n_ties = 2},
        {"the next push ends it", "A x@-10; B x@-100", .owner = A, .moves = "B>A",
         .changed = -99},
        {"the families that the owner lacks come along", "A x@-700; B x@-701 y@-701",
         .owner = A, .moves = "B>A y"},
        {"no family ties: no tie", "A x@-100; B y@-101", .owner = A, .moves = "B>A y",
         .changed = -99},
        {"nor does one that is older on one side", "A x@-100 z@-200; B y@-101 z@-300",
         .owner = A, .moves = "B>A y", .changed = -99},
        {"one of two does", "A x@-100 z@-100; B y@-101 z@-101", .owner = A, .waits = true,
         .due = 200, .changed = -99, .n_ties = 2},
        {"disjoint, elsewhere", "B x@-100; C y@-101", .owner = A, .moves = "B>C x",
         .waits = true},
        {"disjoint, dedupe", "B x@-100; C y@-101", .owner = A, .moves = "B>C x",
         .dedupe = true},
        {"two of the three are in doubt", "A x@-100; B y@-101; C y@-101", .owner = A,
         .waits = true, .due = 200, .changed = -99, .n_ties = 3},
        {"the other clock was set back", "A x@-100; B x@3600", .owner = A, .waits = true,
         .due = 206, .changed = -99, .n_ties = 2},
        {"both were set back: since the ring settled", "B x@3600; C x@7200", .owner = A,
         .waits = true, .due = 206, .changed = -99, .n_ties = 2},
        {"both were set back, over", "B x@3600; C x@7200", .owner = A, .moves = "B>C",
         .waits = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void no_family_goes_with_its_copy(void **state)
{
    static const struct row rows[] = {
        {"missing at home", "A x@-500; B y@-700", .owner = A, .moves = "B>A y"},
        {"two missing, one old", "A x@-500; B w@-700 x@-700 y@-700", .owner = A,
         .moves = "B>A w,y"},
        {"missing elsewhere, dedupe", "A y@-800; B x@-700", .owner = A, .moves = "A>B y",
         .dedupe = true},
        {"from two, in a circle: one begins",
         "A x@-500; B y@-800 z@-700; C y@-700 z@-800", .owner = A, .moves = "B>A z",
         .waits = true},
        {"from two, one has it all", "A x@-500; B y@-700 z@-700; C y@-800 z@-800",
         .owner = A, .moves = "B>A y,z", .waits = true},
        {"from two, different ones", "A x@-500; B y@-700; C z@-800", .owner = A,
         .moves = "B>A y; C>A z"},
        {"from one, and another has nothing", "A x@-500; B y@-700; C x@-800", .owner = A,
         .moves = "C>A; B>A y"},
        {"from two that tie, once", "A x@-500; B y@-700; C y@-701", .owner = A,
         .moves = "B>A y", .waits = true},
        {"old data gives what nobody else has", "A x@-500; D x@-6 y@-6", .owner = A,
         .moves = "D>A y", .yields[D] = true},
        {"old data gives nothing else", "A x@-500; B y@-900; D y@-1", .owner = A,
         .moves = "B>A y", .waits = true, .yields[D] = true},
        {"a time that is known goes before one that is not",
         "A x@-500; B y@3600; C y@-700", .owner = A, .moves = "C>A y", .waits = true},
        {"a family without a time is as old as the push",
         "A x@-500 y@-1700000000; B y@-550", .owner = A, .moves = "B>A"},
        {"an empty copy gives nothing", "A x@-500; B push@-700", .owner = A,
         .moves = "B>A"},
        {"an empty copy gets it", "A push@-500; B x@-700", .owner = A, .moves = "B>A x"},
        {"a young one may be on its way to the owner", "A x@-500; B x@-600 y@-4.9",
         .owner = A, .waits = true, .due = 0.1},
        {"not elsewhere", "B x@-4; C x@-600 y@-4.9", .owner = A, .moves = "B>C x",
         .waits = true},
        {"to the newest, when the owner has none", "B x@-700; C y@-800", .owner = A,
         .moves = "C>B y", .waits = true},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void nothing_is_deleted_where_pushes_may_still_come(void **state)
{
    static const struct row rows[] = {
        {"the owner has the newer one, at a quarter of the grace", "A x@-1; B x@-10",
         .owner = A, .moves = "B>A", .changed = -1.25},
        {"and before it", "A x@-1; B x@-10", .owner = A, .waits = true, .due = 0.25,
         .changed = -1},
        {"the owner lacks a family: to the end of the grace", "A x@-1; B x@-10 y@-10",
         .owner = A, .waits = true, .due = 2, .changed = -3},
        {"the owner has the older one", "A x@-10; B x@-5", .owner = A, .waits = true,
         .due = 1, .changed = -4},
        {"none at home", "B x@-10; C x@-5", .owner = A, .waits = true, .due = 1,
         .changed = -4},
        {"dedupe: the owner has the older one", "A x@-10; B x@-5", .owner = A,
         .waits = true, .due = 1, .changed = -4, .dedupe = true},
        {"dedupe: the owner has the newer one", "A x@-1; B x@-10", .owner = A,
         .moves = "B>A", .changed = -2.5, .dedupe = true},
        {"a change in the near future", "A x@-1; B x@-10", .owner = A, .waits = true,
         .due = 6.25, .changed = 5},
        {"a change in the far future says nothing", "A x@-1; B x@-10", .owner = A,
         .moves = "B>A", .changed = 5.001},
    };

    (void)state;
    check(rows, DS_COUNT(rows));
}

static void a_copy_is_deleted_only_beside_what_the_plan_counted_on(void **state)
{
    static const struct {
        const char *says, *goes, *stays; /* as they are now; NULL: not there */
        bool may;
    } rows[] = {
        {"nothing has changed", "B x@-700 y@-700", "A x@-500 z@-500", true},
        {"the other one was pushed to", "B x@-700 y@-700", "A x@-10 z@-500", true},
        {"it was pushed to itself", "B x@-700 y@-1", "A x@-500 z@-500", false},
        {"a push to it has failed", "B x@-700 y@-700 fail@-1", "A x@-500 z@-500", false},
        {"it is gone", NULL, "A x@-500 z@-500", false},
        {"the other one is gone", "B x@-700 y@-700", NULL, false},
        {"the other one has become a phantom", "B x@-700 y@-700", "A fail@-1", false},
        {"the other one is older than it was", "B x@-700 y@-700", "A x@-600 z@-600",
         false},
        {"it has lost a family, and got another", "B x@-700 y@-700", "A z@-1", false},
        {"it has an old family again, and a new one", "B x@-700 y@-700", "A x@-600 z@-1",
         false},
        {"it has lost what only it had", "B x@-700 y@-700", "A x@-500 push@-1", true},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(plan) struct ds_plan plan = {0};
        struct fleet fleet, later;

        fleet_start(&fleet);
        fleet_start(&later);
        fleet_add(&fleet, "job=g", fleet_hash(&fleet, A), 0,
                  "A x@-500 z@-500; B x@-700 y@-700");
        fleet_add(&later, "job=g", 0, 0, rows[i].goes ? rows[i].goes : "");
        fleet_add(&later, "job=g", 0, 0, rows[i].stays ? rows[i].stays : "");
        ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
        assert_int_equal(plan.n_moves, 1);
        if (ds_plan_may_delete(&plan.moves[0], later.inventories[B].groups,
                               later.inventories[A].groups) != rows[i].may)
            fail_msg("%s", rows[i].says);
        fleet_end(&fleet);
        fleet_end(&later);
    }
}

static void what_was_planned_alone_needs_nothing_but_its_arrival(void **state)
{
    static const struct {
        const char *copies, *goes, *stays;
        bool may;
    } rows[] = {
        {"B x@-700", "B x@-700", "A x@-1", true},
        {"B x@-700", "B x@-700", "A y@-1", true},
        {"B x@-700", "B x@-700", NULL, false},
        {"B x@-700", "B x@-700", "A fail@-1", false},
        {"B x@-700", "B x@-1", "A x@-2", false},
        {"B fail@-700", "B fail@-700", NULL, true},
        {"B fail@-700", "B fail@-7", NULL, false},
        {"B fail@-700", "B x@-7", NULL, false},
        {"A fail@-700; B fail@-700", "B fail@-700", "A fail@-700", true},
        {"A fail@-700; B fail@-700", "B fail@-700", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(plan) struct ds_plan plan = {0};
        struct fleet fleet, later;

        fleet_start(&fleet);
        fleet_start(&later);
        fleet_add(&fleet, "job=g", fleet_hash(&fleet, A), 0, rows[i].copies);
        fleet_add(&later, "job=g", 0, 0, rows[i].goes);
        fleet_add(&later, "job=g", 0, 0, rows[i].stays ? rows[i].stays : "");
        ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
        assert_int_equal(plan.n_moves, 1);
        if (ds_plan_may_delete(&plan.moves[0], later.inventories[B].groups,
                               later.inventories[A].groups) != rows[i].may)
            fail_msg("row %zu", i);
        fleet_end(&fleet);
        fleet_end(&later);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_at_home_stays),
        cmocka_unit_test(a_lone_misplaced_group_is_copied_when_it_is_silent),
        cmocka_unit_test(silence_is_measured_on_the_clock_of_the_server),
        cmocka_unit_test(a_phantom_is_dropped_when_it_is_silent),
        cmocka_unit_test(what_was_pushed_to_the_owner_since_the_ring_changed_is_newest),
        cmocka_unit_test(else_the_latest_push_is_newest),
        cmocka_unit_test(a_tie_waits_and_then_the_owner_or_the_higher_name_keeps_it),
        cmocka_unit_test(no_family_goes_with_its_copy),
        cmocka_unit_test(nothing_is_deleted_where_pushes_may_still_come),
        cmocka_unit_test(a_copy_is_deleted_only_beside_what_the_plan_counted_on),
        cmocka_unit_test(what_was_planned_alone_needs_nothing_but_its_arrival),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
