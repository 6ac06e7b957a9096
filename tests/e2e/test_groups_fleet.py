# SPDX-License-Identifier: Apache-2.0
"""A fleet in use, as a whole: clients push through nginx all the time, Prometheus scrapes
every second, and the fleet grows, shrinks, loses a server and gets it back with old data.

`make torture` does it with 1,000 groups and 100 pushes a second."""

import time


from fronts import nginx_example
from testenv import RawHTTP, wait_until
from testenv.traffic import (Clients, Group, exact, flapping, gaps, history, misfits, owners,
                            places, push_all, series_identity)
from testenv.wait import LONG, SLOW

# Each is pushed every 5 s, so that two pushes are no tie.
N_GROUPS, RATE, PATIENCE = (1000, 100, 15) if LONG else (150, 15, 4)
SCRAPE = 1  # seconds

PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    http_sd_configs: [{url: "http://%s/sd", refresh_interval: 1s}]
"""


class InUse:
    """4 servers (and one to come) behind nginx, groups on them, half of which are pushed
    all the time from now on; the others are silent."""

    def __init__(self, env, mode, scraped=True):
        self.env = env
        self.all = env.pushgateways(5, persist=True)
        *self.gateways, self.newcomer = self.all
        self.config = env.config(self.gateways, watch={"groups": mode,
                                                       "patience": f"{PATIENCE}s"},
                                 health_check={"interval": "1s", "timeout": "1s"},
                                 ring={"rejoin_after": "1s"})
        self.watch = env.watch(self.config)
        self.front, _ = nginx_example(env, env.fcgi(self.config.state_file))
        self.groups = [Group(i) for i in range(N_GROUPS)]
        push_all(self.front.address, self.groups)
        self.silent, self.busy = self.groups[0::2], self.groups[1::2]
        self.before = exact(self.gateways)
        assert len(self.before) == N_GROUPS
        self.prometheus = env.prometheus(conf=PROMETHEUS % self.front.address) if scraped \
            else None
        self.clients = Clients(self.front.address, self.busy, RATE)
        self.excused = {}  # {identity: [(from, to)]}: its only holder was dead

    def scale(self, *words):
        done = self.env.dshard("scale", *words, "--yes", "--patience", f"{PATIENCE}s",
                               config=self.config, timeout=300)
        assert done.rc == 0, done
        return done

    def alive(self):
        return [g for g in self.all if g.running]

    def misfits(self, home=True):
        return misfits(self.env.dshard, self.config, self.alive(), self.groups, home)

    def settles(self, timeout, home=True):
        def settled():
            self.wrong = self.misfits(home)
            return not self.wrong
        try:
            wait_until(settled, timeout, "every group to be in its place", every=0.5)
        except AssertionError as e:
            raise AssertionError(f"{e}; {len(self.wrong)} wrong: {self.wrong[:8]}") from None

    def kill_and_bring_back(self, gateway):
        held = {i for i, at in places(self.gateways).items() if at[0][0] == gateway.address}
        killed_at = time.time()
        gateway.kill9()
        member = lambda: gateway.address in self.env.state().members()  # noqa: E731
        wait_until(lambda: not member(), 10, "it to leave")
        # Until all that are pushed have been pushed to others.
        time.sleep(len(self.busy) / RATE + 2)
        gateway.start()
        back_at = time.time()
        self.stale_for = self._time_until_clean(gateway)
        wait_until(member, 40, "it to rejoin")
        for identity in held:
            group = next(g for g in self.groups if g.identity == identity)
            until = back_at + 3 if group in self.silent else killed_at + \
                len(self.busy) / RATE + 5
            self.excused[identity] = [(killed_at - SCRAPE, until)]

    def _time_until_clean(self, gateway):
        """Seconds until nothing lies on it that another one has, too."""
        began = time.monotonic()

        def clean():
            others = places([g for g in self.gateways if g is not gateway])
            return not [i for i in places([gateway]) if i in others]

        wait_until(clean, 30, "the stale copies to go", every=0.1)
        return time.monotonic() - began

    def check_history(self, since):
        seen = history(self.prometheus, "g_value", time.time() - since)
        wrong = []
        for group in self.groups:
            samples = [s for s in seen.get(series_identity(group.labels), []) if s[0] >= since]
            if not samples:
                wrong.append(f"{group.labels} was never seen")
                continue
            excused = self.excused.get(group.identity, ())
            missing = gaps(samples, 2 * SCRAPE + 1, excused)
            if missing:
                wrong.append(f"{group.labels} was missing: {missing}")
            if flapping(samples) > 5 * SLOW:
                wrong.append(f"{group.labels} flapped for {flapping(samples):.1f} s")
        assert not wrong, f"{len(wrong)} of {len(self.groups)}: {wrong[:8]}"


def test_a_fleet_in_use_grows_shrinks_and_loses_a_server(env):
    fleet = InUse(env, "move")
    fleet.prometheus.wait_query("count(g_value) == " + str(N_GROUPS), 30)
    since = time.time()
    with fleet.clients:
        fleet.scale("up", fleet.newcomer.address, "--settle", "10s")
        fleet.gateways.append(fleet.newcomer)
        fleet.settles(PATIENCE + 10)
        leaving = fleet.gateways[0:2]
        fleet.scale("down", *(g.address for g in leaving))
        assert not places(leaving)
        fleet.gateways = fleet.gateways[2:]
        fleet.settles(PATIENCE + 10)
        assert not fleet.clients.errors, fleet.clients.errors[:5]
        fleet.kill_and_bring_back(fleet.gateways[0])
    fleet.settles(PATIENCE + 30)
    after = exact(fleet.alive())
    for group in fleet.silent:
        assert after[group.identity] == fleet.before[group.identity], group.labels
    # interval x rise + 3 s
    assert fleet.stale_for <= (1 * 2 + 3) * SLOW
    fleet.check_history(since)


def test_with_dedupe_each_group_is_there_once_and_comes_home_with_a_push(env):
    fleet = InUse(env, "dedupe", scraped=False)
    gateway = fleet.gateways[0]
    with fleet.clients:
        fleet.kill_and_bring_back(gateway)
        fleet.settles(PATIENCE + 30, home=False)
    # Two pushes within two seconds of each other are a tie; after a while the owner's wins.
    wait_until(lambda: time.time() * 1000 - env.state().load()["history"][0]["at"] > 6000, 10,
               "the ring to have settled")
    push_all(fleet.front.address, fleet.busy)
    fleet.settles(20)
    at_home = owners(env.dshard, fleet.config, fleet.silent)
    assert all(at_home[g.identity] for g in fleet.silent)


def test_families_posted_around_a_flap_are_all_there(env):
    gateways = env.pushgateways(3, persist=True)
    config = env.config(gateways, watch={"groups": "move", "patience": "2s"})
    env.watch(config)
    front, _ = nginx_example(env, env.fcgi(config.state_file))

    def post(i, family):
        answer = RawHTTP.once(front.address, "POST", f"/metrics/job/j{i}", f"{family} {i}\n")
        return answer.status == 200

    assert all(post(i, "one") for i in range(30))
    time.sleep(0.5)  # until it is on disk: what a crash takes is nobody's fault
    gateways[0].kill9()
    wait_until(lambda: all(post(i, "two") for i in range(30)), 10, "all to have an owner")
    gateways[0].start()

    def whole():
        found = places(gateways)
        return len(found) == 30 and all(
            len(at) == 1 and {"one", "two"} <= at[0][1].keys() for at in found.values())

    wait_until(whole, 30, "all families to be there")
