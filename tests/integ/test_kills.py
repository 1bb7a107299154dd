# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments during roll-outs: each device still ends in the right generation."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from fleet import Failed, Fleet, descendants, wait_for
from repetition import times

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

KILLS = times(24, 200)
KILLS_OF_ONE = times(8, 30)  # in one roll-out at most: a slow machine needs some time without
DEVICES = 2
SEED = int(os.environ.get('SKERRY_SEED', '20261122'))

# A capsule that says on its volume that it runs, and holds a lock that a second copy would trip over.
STEADY = 'while :; do sleep 1; done'
BROKEN = 'sleep 0.2; exit 7'  # well before the settle time of a release that has it


class Killer(threading.Thread):
    """Kills a random daemon of the fleet every few hundred milliseconds while a roll-out goes on."""

    def __init__(self, fleet, rng, quota):
        super().__init__(daemon=True)
        self.fleet, self.rng, self.quota = fleet, rng, quota
        self.done = threading.Event()
        self.counts = {'skerryd': 0, 'skerry-agent': 0, 'skerry-hub': 0}

    def kill_one(self):
        target = self.rng.choice(['skerryd', 'skerryd', 'skerry-agent', 'skerry-agent', 'skerry-hub'])
        if target == 'skerry-hub':
            self.fleet.kill_hub()
            self.fleet.start_hub()
        else:
            pids = self.rng.choice(self.fleet.devices).pids_of(target)
            if not pids:
                return
            os.kill(pids[0], signal.SIGKILL)
        self.counts[target] += 1

    def run(self):
        while not self.done.is_set() and sum(self.counts.values()) < self.quota:
            time.sleep(self.rng.uniform(0.02, 0.7))
            try:
                self.kill_one()
            except (ProcessLookupError, Failed):
                continue

    def stop(self):
        self.done.set()
        self.join()
        return sum(self.counts.values())


def running_capsules(device):
    """Name -> how many processes run its script, seen from the desk, not by asking the daemon."""
    counts = {}
    for pid, _ in descendants(device.pid()):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                argv = f.read().split(b'\0')
            with open(f'/proc/{pid}/environ', 'rb') as f:
                env = dict(e.split(b'=', 1) for e in f.read().split(b'\0') if b'=' in e)
        except OSError:
            continue
        if b'/srv/main.sh' in argv and b'SKERRY_APP' in env:
            name = env[b'SKERRY_APP'].decode()
            counts[name] = counts.get(name, 0) + 1
    return counts


def loops():
    return subprocess.run(['losetup', '-l', '-n', '-O', 'BACK-FILE'], stdout=subprocess.PIPE, text=True, check=True).stdout


def settle(device, version, names):
    """The daemon answers, is in the right generation, and just the wanted capsules run, once each."""
    def right():
        status = device.status()
        return status['generation']['version'] == version and status['generation']['state'] == 'good' and \
            running_capsules(device) == {n: 1 for n in names}
    wait_for(f'{device.name} in release {version} with {names}', right, 180)


def test_kills_during_roll_outs(tmp_path):
    rng = random.Random(SEED)
    print(f'seed {SEED}')
    names = ['alpha', 'beta', 'gamma']
    with Fleet(tmp_path / 'fleet') as fleet:
        for n in range(DEVICES):
            fleet.start_device(f'dev{n}')
        kills, round_number, good = 0, 0, None
        while kills < KILLS or round_number % 4 != 0:  # the last of four is a broken one
            round_number += 1
            version = f'{round_number}.0'
            broken = round_number % 4 == 0
            changed = rng.choice(names)
            for name in names if round_number == 1 else [changed]:
                fleet.capsule(name, BROKEN if broken else STEADY, salt=f'{version} {rng.random()}')
            fleet.upload(fleet.release(version, {n: 'restart-max = <2>;' for n in names}, settle='5s' if broken else '1s'))
            killer = Killer(fleet, rng, min(KILLS - kills, KILLS_OF_ONE))
            fleet.attach(version)
            killer.start()
            jobs = fleet.wait_jobs(version)
            kills += killer.stop()
            if broken:
                assert {j['step'] for j in jobs} == {'failed'}, jobs
                assert all(changed in j['reason'] for j in jobs), jobs
                fleet.capsule(changed, STEADY, salt=f'mended {version}')
            else:
                assert {j['step'] for j in jobs} == {'done'}, jobs
                good = version
            for device in fleet.devices:
                settle(device, good, names)
        print(f'{kills} kills in {round_number} roll-outs')
        for device in fleet.devices:
            assert device.cli('store', 'verify')['damaged'] == []
            device.stop()
            wait_for(f'the end of the loop devices of {device.name}', lambda: str(device.dir) not in loops())


def test_power_cuts_during_roll_outs(tmp_path):
    rng = random.Random(SEED + 1)
    names = ['alpha', 'beta']
    with Fleet(tmp_path / 'fleet') as fleet:
        fleet.start_device('dev')
        device = fleet.devices[0]
        for n in names:
            fleet.capsule(n, STEADY)
        fleet.upload(fleet.release('1.0', {n: '' for n in names}))
        fleet.attach('1.0')
        assert fleet.wait_jobs('1.0')[0]['step'] == 'done'
        for round_number in range(2, times(5, 10)):
            version = f'{round_number}.0'
            fleet.capsule(rng.choice(names), STEADY, salt=version)
            fleet.upload(fleet.release(version, {n: '' for n in names}, release_extra='boot-attempts = <9>;'))
            fleet.attach(version)
            time.sleep(rng.uniform(0.0, 2.5))
            device.power_cut()
            device.start()
            assert {j['step'] for j in fleet.wait_jobs(version)} == {'done'}
            settle(device, version, names)
