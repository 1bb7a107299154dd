# SPDX-License-Identifier: Apache-2.0
"""One machine for all these tests: it is booted once, and again only where the power is cut."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'integ')]

import guest  # noqa: E402
from device import STEADY, Device  # noqa: E402
from disk import Disk  # noqa: E402
from docker_world import docker_archive  # noqa: E402
from fleet import Fleet  # noqa: E402
from machine import Machine  # noqa: E402

# Capsules wait for a word in their persistent folder, so that their release first becomes good.
WAIT = 'until test -e /data/go; do sleep 0.2; done; rm -f /data/go\n'
ENDS = "trap 'read up rest </proc/uptime; echo $up >/data/ended; exit 0' TERM; while :; do sleep 1000 & wait; done"
SCRIPTS = {
    'first': ENDS,
    'second': ENDS,
    'steady': STEADY,
    'eater': WAIT + 'echo "eats"; exec dd if=/dev/zero of=/dev/null bs=128M count=1',
    'bomb': WAIT + '(while :; do sleep 1000 & done); exec sleep 100000',
    'shell': 'trap "exit 0" TERM; while :; do until test -e /data/todo; do sleep 0.1; done\n'
             'mv /data/todo /data/script; sh /data/script >/data/out 2>&1; echo $? >/data/done.new\n'
             'mv /data/done.new /data/done; done',
}
SALTS = {'tide': 3_000_000, 'ebb': 3_000_000}


@pytest.fixture(scope='session')
def desk(tmp_path_factory):
    """Keys and images on the side of the engineer."""
    fleet = Fleet(tmp_path_factory.mktemp('desk'))
    fleet.make_keys()
    for name, script in SCRIPTS.items():
        fleet.capsule(name, script)
    for name, size in SALTS.items():
        fleet.capsule(name, STEADY, salt=name * (size // len(name)))
    return fleet


@pytest.fixture(scope='session')
def machine(desk, tmp_path_factory):
    folder = tmp_path_factory.mktemp('machine')
    debs = guest.package_files()
    parts = guest.make(debs)
    archive = folder / 'loaded.tar'
    docker_archive(archive, 'loaded:1', big=bytes(1 << 20))
    cargo = guest.make_cargo(folder / 'cargo.img', {
        'packages': debs, 'images': desk.images.glob('*.itb'), 'trust': [desk.keys / 'ca.pem'], 'archives': [archive]})
    disk = Disk(folder / 'root.img')
    disk.copy(parts / 'root.img')
    m = Machine(parts, disk, cargo, folder)
    yield m.power_on()
    m.power_off()
    disk.remove()


@pytest.fixture(scope='session')
def device(machine, desk):
    d = Device(machine, desk)
    d.install()
    return d
