#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a changed capsule is down during an upgrade, against stop + start of the same with crun.

Down is the time from the last act of the old program (it prints the clock when it is told to end) to
the first act of the new one. Ours: the whole upgrade of one image, through a signed release. crun's:
`crun kill`, wait, `crun delete`, `crun run` of an unpacked folder. In ms, least / median.
"""
import json
import shutil
import statistics
import subprocess
import sys
import time

from fleet import Fleet, wait_for
from lib import Api, emit, sh, spread, static_program, workdir

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 12


def build(fleet, rootfs, n):
    """Image and release number n: the same program, another file beside it."""
    root = fleet.dir / 'root'
    if not root.exists():
        shutil.copytree(rootfs, root)
    (root / 'release').write_text(str(n))
    fleet.images.mkdir(exist_ok=True)
    fleet.skerry('capsule', 'build', root, '--name', 'light', '--user', '1000:1000', '--command', '/firstlight', '--arg', 'stay', '-o',
                 fleet.images / 'light.itb')
    return fleet.release(f'{n}.0', {'light': ''})


def clocks(api):
    """Every (word, ns) that the capsule of the running release printed."""
    text = api.call('GET', '/containers/light/logs?stdout=1', raw=True)
    out, at = [], 0
    while at + 8 <= len(text):
        size = int.from_bytes(text[at + 4:at + 8], 'big')
        line = text[at + 8:at + 8 + size].decode().split()
        out.append(('end' if line[0] == 'end' else 'start', int(line[-1])))
        at += 8 + size
    return out


def ours(fleet, rootfs):
    device = fleet.add_device('bench', link=False, network='none')
    api = Api(device.sock)
    down = []
    for n in range(1, ROUNDS + 2):
        release = build(fleet, rootfs, n)
        fleet.skerry('release', 'apply', release, '--images', fleet.images, '--socket', device.sock)
        wait_for(f'release {n}', lambda: device.status()['generation']['version'] == f'{n}.0'
                 and device.status()['generation']['state'] == 'good')
        if n > 1:
            ends = [ns for word, ns in clocks(api) if word == 'end']
            starts = [ns for word, ns in clocks(api) if word == 'start']
            down.append((starts[-1] - ends[-1]) / 1e6)
    return down


def crun_down(bundle, n):
    def start(name):
        return subprocess.Popen(['crun', 'run', name], cwd=bundle, stdout=subprocess.PIPE, text=True)
    old = start(f'down{n}')
    old.stdout.readline()
    time.sleep(0.2)
    sh('crun', 'kill', f'down{n}', 'TERM')
    ended = int(old.stdout.readline().split()[1])
    old.wait()
    new = start(f'down{n}b')
    first = int(new.stdout.readline())
    sh('crun', 'kill', f'down{n}b', 'TERM')
    new.wait()
    return (first - ended) / 1e6


def crun_bundle(work, rootfs):
    bundle = work / 'bundle'
    bundle.mkdir()
    sh('crun', 'spec', cwd=bundle)
    spec = json.loads((bundle / 'config.json').read_text())
    spec['process'].update(terminal=False, args=['/firstlight', 'stay'])
    spec['root'] = {'path': str(rootfs), 'readonly': True}
    spec['linux'].pop('resources', None)
    (bundle / 'config.json').write_text(json.dumps(spec))
    return bundle


def main():
    with workdir() as work:
        rootfs = static_program(work)
        fleet = Fleet(work / 'fleet')
        fleet.make_keys()
        try:
            down = ours(fleet, rootfs)
        finally:
            fleet.__exit__()
        bundle = crun_bundle(work, rootfs)
        crun = [crun_down(bundle, n) for n in range(ROUNDS)]
    ratio = statistics.median(down) / statistics.median(crun)
    emit('a changed capsule is down during an upgrade', f'{spread(down)} ms', f'crun {spread(crun)} ms', f'{ratio:.2f}', 'at most 1.5', ratio <= 1.5)


if __name__ == '__main__':
    main()
