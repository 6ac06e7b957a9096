# SPDX-License-Identifier: Apache-2.0
"""Random histories of a fleet, by seed, against a model of what must be there at the end.

Clients PUT, POST and DELETE; the fleet is scaled, servers are drained, killed and come
back with what they had on disk; dshard itself is killed at any moment.  Afterwards every
group is on one server, its owner, and each family has the value of its last push.

What clients do goes on all the time beside what is done to the fleet, so a seed repeats the
acts and not each instant.

    DSHARD_TEST_SEED=17 python3 -m pytest tests/e2e/test_groups_model.py     one history

What is allowed: a family that a PUT had dropped may reappear; what a killed server had not
on disk may be gone; a group that was deleted while a copy lay elsewhere may return; of two
pushes to two servers within two seconds either may be the one that stays.
"""

import os
import random
import subprocess
import threading
import time

import pytest

from testenv import BIN, RawHTTP, clean_environ, wait_until
from testenv.front import Front
from testenv.traffic import identity_of, owners, places, target_of
from testenv.wait import LONG

SEEDS = ([int(os.environ["DSHARD_TEST_SEED"])] if "DSHARD_TEST_SEED" in os.environ
         else range(200 if LONG else 10))
N_SERVERS, N_GROUPS, FAMILIES = 4, 24, ("m_one", "m_two", "m_three")
STEPS, RATE = 7, 25  # pushes a second
TIE_S = 2 + 1  # and what a push may take


class Kept:
    """A group as the model knows it."""

    def __init__(self, i):
        self.labels = {"job": f"j{i % 4}", "i": str(i)} if i % 6 else {"job": f"a/{i}", "e": ""}
        if i in (1, 2):  # one key, two groups
            self.labels = {"job": "t", **({"x": "b/y/c"} if i == 1 else {"x": "b", "y": "c"})}
        self.identity, self.target = identity_of(self.labels), target_of(self.labels)
        self.families = {}    # what must be there: {name: value of the last push}
        self.ever = set()     # (name, value) of every push that was tried
        self.may_miss = set() # families that a crash may have taken, or set back
        self.may_exist = False
        self.unsure = set()   # families whose last push was not answered, or is a tie
        self.times = {}       # (family, server) -> when it was last pushed there

    def pushed(self, names, address):
        """True for those that were pushed to another server just before."""
        now = time.monotonic()
        self.times.update({(name, address): now for name in names})
        return {name for (name, at), when in self.times.items()
                if name in names and at != address and now - when < TIE_S}


class History:
    def __init__(self, env, seed):
        self.env, self.seed, self.random = env, seed, random.Random(seed)
        self.value, self.steps = 0, []
        self.gateways = env.pushgateways(N_SERVERS, persist=True)
        self.inside = self.gateways[:3]
        self.config = env.config(self.inside, watch={"groups": "move", "patience": "3s"},
                                 ring={"rejoin_after": "300ms"})
        self.watch = env.watch(self.config)
        self.front = Front(env, self.config)
        self.groups = [Kept(i) for i in range(N_GROUPS)]
        self.unfinished = None  # the words of a command that was killed
        self.drained = set()
        self.taken = {}         # of a dead server: what it held
        self.lock = threading.Lock()  # no client pushes while it is held
        self.stopping = threading.Event()
        self.clients = threading.Thread(target=self._run_clients, daemon=True)
        self.broken = None            # what ended the clients before their time

    # -- clients ---------------------------------------------------------------------

    def _run_clients(self):
        mine = random.Random(self.seed + 1000)
        try:
            while not self.stopping.wait(1 / RATE):
                with self.lock:
                    what = mine.choices(["PUT", "POST", "DELETE"], [5, 10, 1])[0]
                    group = mine.choice(self.groups)
                    self.delete(group) if what == "DELETE" else self.push(what, group, mine)
        except Exception as e:
            self.broken = e

    def _send(self, method, group, body=None):
        """The answer of whoever the push was sent to; None: nobody took it."""
        self.asked = None
        try:
            self.asked = self.front.owner(group.target)
            return self.asked and RawHTTP.once(self.asked, method, group.target, body)
        except OSError:
            return None

    def push(self, method, group, mine):
        names = mine.sample(FAMILIES, mine.randint(1, len(FAMILIES)))
        self.value += 1
        answer = self._send(method, group, "".join(f"{n} {self.value}\n" for n in names))
        group.ever |= {(n, self.value) for n in names}
        ties = group.pushed(names, self.asked)
        if answer is None or answer.status != 200:
            group.unsure |= set(group.families) | set(names)
            group.may_exist = True
            return
        if method == "PUT":
            group.families = {}
        for name in names:
            group.families[name] = self.value
            group.may_miss.discard(name)
            group.unsure.discard(name)
        group.unsure |= ties

    def delete(self, group):
        found = places(self.alive()).get(group.identity, [])
        home = owners(self.env.dshard, self.config, [group])[group.identity]
        if [a for a, _ in found] != [home]:
            return  # misplaced, or not there
        answer = self._send("DELETE", group)
        # A mover that was at it may have put it elsewhere meanwhile.
        group.may_exist = True
        if answer is None or answer.status != 202:
            group.unsure |= set(group.families)
        else:
            group.families = {}

    # -- the fleet -------------------------------------------------------------------

    def alive(self):
        return [g for g in self.gateways if g.running]

    def dead(self):
        return [g for g in self.gateways if not g.running]

    def run(self, *words, kill=False):
        words = [*words, "--patience", "3s"]
        if not kill:
            done = self.env.dshard(*words, config=self.config, timeout=90)
            assert done.rc in (0, 1, 3, 5, 75), done
            return done
        self.unfinished = words
        command = [os.path.join(BIN, "dshard"), "--config", self.config.path, *words]
        child = subprocess.Popen(command, env=clean_environ(), cwd=self.env.dir,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            child.wait(self.random.uniform(0.02, 4))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        return None

    def finish(self):
        """Runs again what was killed."""
        words, self.unfinished = self.unfinished, None
        if words:
            done = self.env.dshard(*words, config=self.config, timeout=90)
            assert done.rc in (0, 3, 5, 75), done

    def scale(self, kill=False):
        if self.dead() or self.drained or self.unfinished:
            return
        outside = [g for g in self.gateways if g not in self.inside]
        if outside and (len(self.inside) < 3 or self.random.random() < 0.5):
            gateway = self.random.choice(outside)
            self.inside.append(gateway)
            self.run("scale", "up", gateway.address, "--yes", "--settle", "0s", "--adopt",
                     kill=kill)
        elif len(self.inside) > 2:
            gateway = self.random.choice(self.inside)
            self.inside.remove(gateway)
            self.run("scale", "down", gateway.address, "--yes", kill=kill)

    def drain(self):
        if self.dead() or self.drained or self.unfinished or len(self.inside) < 3:
            return
        gateway = self.random.choice(self.inside)
        self.drained.add(gateway)
        self.env.dshard("drain", gateway.address, config=self.config).ok()

    def undrain(self):
        for gateway in self.drained:
            self.env.dshard("undrain", gateway.address, config=self.config).ok()
        self.drained = set()

    def kill(self):
        if self.dead() or self.unfinished or len(self.inside) < 2:
            return
        gateway = self.random.choice(self.inside)
        with self.lock:
            self.taken[gateway] = places([gateway])
            gateway.kill9()

    def bring_back(self):
        for gateway in self.dead():
            with self.lock:
                gateway.start()
                self._forgive(self.taken[gateway], places([gateway]))

    def _forgive(self, before, after):
        """What a server held before it was killed and does not hold any more."""
        for group in self.groups:
            had, has = before.get(group.identity), after.get(group.identity)
            for name in FAMILIES:
                if had and had[0][1].get(name) != (has[0][1].get(name) if has else None):
                    group.may_miss.add(name)

    def kill_watch(self):
        self.watch.kill9()
        self.watch.start()

    def step(self):
        what, *arguments = self.random.choices(
            [(self.scale,), (self.scale, True), (self.drain,), (self.undrain,), (self.kill,),
             (self.bring_back,), (self.kill_watch,), (self.finish,)],
            [2, 3, 2, 2, 3, 3, 1, 1])[0]
        self.steps.append(" ".join([what.__name__, *map(str, arguments)]))
        what(*arguments)
        time.sleep(self.random.uniform(0, 1.5))

    # -- the end ---------------------------------------------------------------------

    def settle(self):
        self.bring_back()
        self.undrain()
        self.finish()
        members = sorted(g.address for g in self.inside)

        # Two pushes within two seconds of each other, to two servers, are a tie until the
        # next one; so is one so soon after a change of the ring.  Watch may not even have
        # noticed the last kill when its server is back.
        def is_settled():
            changed = self.env.state().load()["history"][0]["at"] / 1000
            return self.env.state().members() == members and time.time() > changed + 6

        wait_until(is_settled, 30, f"the ring to be {members}, and to stay so")
        self.stopping.set()
        self.clients.join()
        assert not self.broken, repr(self.broken)
        for group in self.groups:
            self.push("POST", group, self.random)
        wait_until(lambda: not self.misplaced(), 40, "all to be at home", every=0.3)

    def misplaced(self):
        found = places(self.gateways)
        home = owners(self.env.dshard, self.config, self.groups)
        return [(dict(i), [a for a, _ in at]) for i, at in found.items()
                if [a for a, _ in at] != [home[i]]]

    def wrong(self):
        found, wrong = places(self.gateways), []
        for group in self.groups:
            at = found.get(group.identity)
            has = {n: int(float(at[0][1][n]["metrics"][0]["value"]))
                   for n in FAMILIES if at and n in at[0][1]}
            for name, value in group.families.items():
                if name in group.may_miss or name in group.unsure or has.get(name) == value:
                    continue
                wrong.append(f"{group.labels}: {name} is {has.get(name)}, not {value}")
            if set(has.items()) - group.ever:
                wrong.append(f"{group.labels}: {has} was never pushed")
            if has and not group.families and not group.may_exist and not group.unsure:
                wrong.append(f"{group.labels}: {has}, and nobody pushed it")
        return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_ends_with_every_group_at_home(env, seed):
    story = History(env, seed)
    for group in story.groups:
        story.push("POST", group, story.random)
    story.clients.start()
    try:
        for _ in range(STEPS):
            story.step()
        story.settle()
        assert not story.wrong()
    except Exception as e:
        story.stopping.set()
        story.clients.join()
        raise AssertionError(f"seed {seed}: {', '.join(story.steps)}: {e}; "
                             f"misplaced: {story.misplaced()[:5]}") from e
