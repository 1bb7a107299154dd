# SPDX-License-Identifier: Apache-2.0
"""Bits that turn over in a device's store: found, taken out of use, and whole again by itself with a hub's help."""
import hashlib
import json
import os

import pytest

from fleet import Fleet, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

STORE = '/var/lib/skerry/store'
STEADY = 'trap "exit 0" TERM; sleep 100000 & wait'


def flip(device, path, at):
    """One byte of a file is another one now, also of one that nobody may write to."""
    device.exec('/bin/sh', '-c', f'set -e; cp {path} {path}.x; printf "\\376" | dd of={path}.x bs=1 seek={at} conv=notrunc 2>/dev/null; '
                                 f'mv {path}.x {path}; sync')


def whole(device):
    status = device.status()
    return status['missing'] == [] and status['missing_releases'] == []


@pytest.fixture
def device(tmp_path):
    """Two generations that are good: 2.0 runs, 1.0 is what it would fall back to."""
    with Fleet(tmp_path / 'fleet') as fleet:
        fleet.start_device('dev')
        device = fleet.devices[0]
        device.image = {}
        for version in ('1.0', '2.0'):
            image = fleet.capsule('alpha', STEADY, salt=version)
            device.image[version] = hashlib.sha256(image.read_bytes()).hexdigest()
            fleet.upload(fleet.release(version, {'alpha': ''}))
            fleet.attach(version)
            assert fleet.wait_jobs(version)[0]['step'] == 'done'
        device.release = {g['version']: g['release'] for g in device.cli('generation', 'list')}
        yield device


def test_every_kind_of_file_while_it_runs(device):
    for version in ('1.0', '2.0'):
        flip(device, f'{STORE}/images/{device.image[version]}', 9000)
        flip(device, f'{STORE}/releases/{device.release[version]}.skr', 200)
    flip(device, f'{STORE}/records/generation-{1:020}', 60)
    flip(device, f'{STORE}/records/current', 20)
    found = device.cli('store', 'verify')
    assert sorted(found['damaged']) == sorted(device.image.values())
    assert sorted(found['releases']['damaged']) == sorted(device.release.values())
    assert found['records']['damaged'] == [f'generation-{1:020}', 'current']
    status = device.status()
    assert sorted(status['missing_releases']) == sorted(device.release.values())
    assert status['generation']['version'] == '2.0'
    wait_for('all of it from the hub', lambda: whole(device), 180)
    clean = device.cli('store', 'verify')
    assert clean == {'checked': 2, 'damaged': [], 'releases': {'checked': 2, 'damaged': []}, 'records': {'checked': 3, 'damaged': []}}
    assert device.status()['generation']['version'] == '2.0'
    # It is started again, from the image that is whole.
    wait_for('its capsule', lambda: device.status()['capsules']['running'] == 1)
    assert device.exec('/bin/sh', '-c', f'ls {STORE}/quarantine').strip() == ''


@pytest.mark.parametrize('at', [200, -1], ids=['manifest', 'seal'])
def test_release_file_found_at_the_start(device, at):
    """The generation before runs until the hub has given the file again, without a job."""
    path = f'{STORE}/releases/{device.release["2.0"]}.skr'
    size = int(device.exec('/bin/sh', '-c', f'wc -c < {path}'))
    jobs = len(device.fleet.jobs())
    device.stop()
    device.link = False
    device.start()
    flip(device, path, at % size)
    device.power_cut()
    device.start()
    wait_for('the one before', lambda: device.status()['generation']['version'] == '1.0')
    assert device.status()['missing_releases'] == [device.release['2.0']]
    device.stop()
    device.link = True
    device.start()
    wait_for('release 2.0', lambda: device.status()['generation']['version'] == '2.0' and whole(device), 180)
    wait_for('its capsule', lambda: device.status()['capsules']['running'] == 1)
    assert len(device.fleet.jobs()) == jobs


def test_damage_that_nobody_can_repair(device):
    """No hub: it is told by the command, with what to do, and the device goes on."""
    device.fleet.kill_hub()
    flip(device, f'{STORE}/releases/{device.release["2.0"]}.skr', 200)
    told = device.fleet.skerry
    with pytest.raises(Exception) as e:
        told('store', 'verify', '--socket', device.sock)
    assert 'damaged files: 1,' in str(e.value) and 'load its release once more' in str(e.value)
    assert json.loads(told('store', 'verify', '--socket', device.sock, '--json'))['releases'] == {'checked': 1, 'damaged': []}
    assert device.status()['generation']['version'] == '2.0'
    release = device.fleet.dir / 'station-2.0.skr'
    told('release', 'apply', release, '--images', device.fleet.images, '--socket', device.sock)
    assert whole(device)
