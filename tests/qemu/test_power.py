# SPDX-License-Identifier: Apache-2.0
"""The plug is pulled: what the disk had not been told to keep is gone, and the device comes back well."""
import json
import random
import time

import pytest

CUTS = 5
# Past the page cache into the disk's own, where it is lost unless something else flushes that in time.
UNFLUSHED = 'dd if=/dev/zero of=/var/unflushed bs=4096 count=64 oflag=direct conv=notrunc 2>/dev/null'
SEED = 20


@pytest.fixture(name='rng', scope='module')
def _rng():
    return random.Random(SEED)


def settled(device):
    """Until nothing is tried any more; the generation that runs."""
    def at_rest(text):
        status = json.loads(text)
        return status['update']['step'] in ('idle', 'good', 'bad') and status['generation']['state'] == 'good'
    return json.loads(device.until('rest', 'skerry status --json', at_rest))['generation']


def check_whole(device):
    assert '0 damaged' in device.run('skerry store verify')
    running = [c['name'] for c in device.capsules().values() if c['state'] == 'running']
    monitors = device.run('grep -lx conmon /proc/[0-9]*/comm').split()
    assert len(monitors) == len(running) == len(device.capsules()), 'a capsule runs twice, or not'
    assert device.run('systemctl --failed --plain --no-legend') == ''


def test_cuts_during_upgrades(device, machine, rng):
    """At a random moment of an upgrade, again and again: the old release or the new one, whole."""
    device.apply({'steady': '', 'ebb': ''})
    good = device.status()['generation']['version']
    ends = []
    for i in range(CUTS):
        app = ('tide', 'ebb')[i % 2]
        new = device.begin({'steady': '', app: ''}, settle='2s')
        begun = f'skerry status --json | grep -F \'"{new}"\''
        step = rng.choice(['nothing', 'image', 'trying', 'trying', 'good'])
        device.until(step, {'nothing': 'true', 'image': f'ls /var/lib/skerry/store/staging | grep part || {begun}',
                            'trying': begun, 'good': f'{begun} && skerry status --json | grep -F \'"step": "good"\''}[step])
        time.sleep(rng.uniform(0, 1.5))
        device.run(UNFLUSHED)
        flushed, lost = machine.power_cut(rng)
        device.power_on()
        running = settled(device)
        assert running['version'] in (good, new), (step, good, new)
        assert device.status()['good']['version'] == running['version']
        if running['version'] == new:
            assert app in device.capsules()
        good = running['version']
        check_whole(device)
        ends.append((step, 'new' if good == new else 'old', flushed, lost))
    assert sum(lost for *_, lost in ends) > 0, f'no cut lost anything, this disk is too kind: {ends}'


def test_boots_are_counted(device, machine, rng):
    """A release that takes the machine down each time is given up after its boots."""
    device.apply({'steady': ''})
    good = device.status()['generation']
    device.begin({'steady': '', 'tide': ''}, settle='30m', patience='1h', release_extra='boot-attempts = <2>;')
    device.until('trying', 'skerry status --json | grep -e settling')
    for _ in range(2):
        machine.power_cut(rng)
        device.power_on()
        device.until('the same release again', 'skerry status --json | grep -e settling')
        assert 'tide' in device.capsules()
    machine.power_cut(rng)
    device.power_on()
    assert settled(device)['generation'] == good['generation']
    bad = device.json('generation list')[-1]
    assert bad['state'] == 'bad', bad
    assert 'boot' in bad['reason']
    device.wait_capsule('steady', 'runs', lambda c: c['state'] == 'running')
    check_whole(device)


def test_shut_down_in_order(device, machine):
    """An orderly end of the machine loses nothing, and takes no boots or capsules with it."""
    device.apply({'steady': '', 'tide': ''})
    version = device.status()['generation']['version']
    machine.shut_down()
    device.power_on()
    assert settled(device)['version'] == version
    for name in ('steady', 'tide'):
        device.wait_capsule(name, 'runs again', lambda c: c['state'] == 'running')
    check_whole(device)
