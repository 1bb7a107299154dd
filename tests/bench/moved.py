#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes that an upgrade moves, counted on the wire by the hub's peer, against the changed images.

Three images, one changes. The device has a network of its own, and the bytes are those that its
interface received from just before the roll-out until its end: images, releases, polls, TLS and all.
"""
import os

from lib import emit, own_view, workdir
from fleet import Fleet

SIZE = 8 << 20


def received(device):
    """Bytes that came in through the device's interface."""
    for line in device.exec('cat', '/proc/net/dev').splitlines():
        if 'tap0' in line:
            return int(line.split(':')[1].split()[0])
    raise RuntimeError('no tap0')


def main():
    own_view()
    names = ('one', 'two', 'three')
    with workdir() as work, Fleet(work / 'fleet') as fleet:
        # What does not compress: the figure is about what moves, not about compression.
        for n in names:
            (fleet.dir / f'root-{n}/srv').mkdir(parents=True)
            (fleet.dir / f'root-{n}/srv/data').write_bytes(os.urandom(SIZE))
            fleet.capsule(n, 'while :; do sleep 1; done')
        fleet.url = fleet.url.replace('127.0.0.1', '10.0.2.2')
        fleet.start_device('moved', network='slirp')
        fleet.url = fleet.url.replace('10.0.2.2', '127.0.0.1')
        device = fleet.devices[0]
        apps = {n: '' for n in names}
        fleet.upload(fleet.release('1.0', apps))
        fleet.attach('1.0')
        fleet.wait_jobs('1.0')
        (fleet.dir / 'root-two/srv/data').write_bytes(os.urandom(SIZE))
        changed = fleet.capsule('two', 'while :; do sleep 1; done').stat().st_size
        fleet.upload(fleet.release('2.0', apps))
        before = received(device)
        fleet.attach('2.0')
        jobs = fleet.wait_jobs('2.0')
        moved = received(device) - before
        assert jobs[0]['step'] == 'done', jobs
    ratio = moved / changed
    emit('release 1 to 2: bytes moved (all that came in)', f'{moved / 1e6:.2f} MB', f'changed image {changed / 1e6:.2f} MB', f'{ratio:.3f}', 'at most 1.02', ratio <= 1.02)


if __name__ == '__main__':
    main()
