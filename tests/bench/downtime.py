#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a changed capsule is down during an upgrade, against stop + start of the same with crun.

Down is the time from the last act of the old program to the first act of the new one. Both acts are a
line with the clock, written to a file in a folder that outlives them: a persistent folder of the
capsule, a bind mount of crun's container. Ours is the whole upgrade of one of two images through a
signed release, by a device that runs. crun's: `crun kill` with the same signal, wait until `crun run`
has ended and cleaned up, `crun run` of the new one. In ms, least / median; rounds alternate.

usage: downtime.py [ROUNDS]
"""
import json
import shutil
import statistics
import subprocess
import sys
import time

from lib import crun_bundle, emit, own_view, sh, spread, static_program, workdir
from fleet import Fleet, wait_for


class Upgrade:
    """A device whose release is replaced, again and again, by one with another image of the app."""

    def __init__(self, fleet, rootfs):
        self.fleet, self.n = fleet, 0
        self.root = fleet.dir / 'root'
        shutil.copytree(rootfs, self.root)
        (self.root / 'data').mkdir()
        fleet.images.mkdir()
        fleet.make_keys()
        self.image('same', 'stay')
        self.device = fleet.add_device('bench', link=False, network='none')
        self.step()

    def image(self, name, *args):
        (self.fleet.images / f'{name}.itb').unlink(missing_ok=True)
        self.fleet.skerry('capsule', 'build', self.root, '--name', name, '--user', '1000:1000', '--command', '/firstlight',
                          *[f'--arg={a}' for a in args], '-o', self.fleet.images / f'{name}.itb')

    def step(self):
        """The next release, to the end."""
        self.n += 1
        (self.root / 'release').write_text(str(self.n))
        self.image('light', 'stay', '/data/acts')
        release = self.fleet.release(f'{self.n}.0', {'same': '', 'light': 'volumes { data = "/data"; };'})
        self.fleet.skerry('release', 'apply', release, '--images', self.fleet.images, '--socket', self.device.sock)
        wait_for(f'release {self.n}', lambda: self.is_good(f'{self.n}.0'))

    def is_good(self, version):
        generation = self.device.status()['generation']
        return generation and generation['version'] == version and generation['state'] == 'good'

    def __call__(self):
        self.step()
        # A capsule counts as running when it was let go; on a busy machine its first act is later.
        return wait_for('the first act of the new one',
                        lambda: between(self.device.exec('cat', '/var/lib/skerry/volumes/light/data/acts')))


def between(acts):
    """ms from the last end to the start that follows it; None when that is not there yet."""
    lines = acts.split('\n')
    at = max(i for i, line in enumerate(lines) if line.startswith('end'))
    return (int(lines[at + 1]) - int(lines[at].split()[1])) / 1e6 if lines[at + 1] else None


class Crun:
    def __init__(self, work):
        self.bundle = crun_bundle(work, 'stay', '/data/acts')
        self.data, self.states = work / 'data', work / 'crun'
        self.data.mkdir()
        (static_program(work) / 'data').mkdir()
        spec = json.loads((self.bundle / 'config.json').read_text())
        spec['mounts'].append({'destination': '/data', 'type': 'bind', 'source': str(self.data), 'options': ['bind', 'rw']})
        (self.bundle / 'config.json').write_text(json.dumps(spec))

    def run(self, name):
        p = subprocess.Popen(['crun', '--root', self.states, 'run', name], cwd=self.bundle, stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline(), 'crun run did not start'
        while not (self.states / name / 'status').exists():  # crun kill needs it, and the program is quicker
            time.sleep(0.01)
        return p

    def end(self, p, name):
        sh('crun', '--root', self.states, 'kill', name, 'TERM')
        p.wait()
        p.stdout.close()

    def __call__(self):
        old = self.run('down-old')
        self.end(old, 'down-old')
        new = self.run('down-new')
        ms = between((self.data / 'acts').read_text())
        self.end(new, 'down-new')
        return ms


def main():
    own_view()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with workdir() as work:
        rootfs = static_program(work)
        fleet = Fleet(work / 'fleet')
        try:
            upgrade, crun = Upgrade(fleet, rootfs), Crun(work)
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(upgrade())
                theirs.append(crun())
        finally:
            fleet.__exit__()
    ratio = statistics.median(ours) / statistics.median(theirs)
    emit('a changed capsule is down during an upgrade', f'{spread(ours)} ms', f'crun stop + start {spread(theirs)} ms', f'{ratio:.2f}',
         'at most 1.5', ratio <= 1.5)


if __name__ == '__main__':
    main()
