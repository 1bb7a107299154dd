# SPDX-License-Identifier: Apache-2.0
"""A signer is revoked: from `skerry key revoke` over the hub to what a real device refuses."""
import os
import shutil

import pytest

from fleet import Failed, Fleet, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

STEADY = 'echo "$0 runs"; trap "exit 0" TERM; sleep 100000 & wait'


def show(fleet, name):
    return fleet.json('hub', 'device', 'show', name)


def number_of(fleet, name):
    return next((c['number'] for c in show(fleet, name)['crls']), None)


def test_a_revoked_signer_reaches_nobody_any_more(tmp_path):
    with Fleet(tmp_path) as fleet:
        fleet.skerry('key', 'release', 'leaver', '--dir', fleet.keys)
        fleet.capsule('web', STEADY)
        fleet.upload(fleet.release('1.0.0', {'web': ''}))
        fleet.start_device('here')
        fleet.start_device('away')
        wait_for('both', lambda: all(number_of(fleet, n) == 1 for n in ('here', 'away')))
        fleet.attach('1.0.0')
        assert all(j['step'] == 'done' for j in fleet.wait_jobs('1.0.0'))
        # The leaver signs a release, and one device is off when it is rolled out.
        builder = {p: (fleet.keys / f'builder.{p}') for p in ('key', 'pem')}
        for p, path in builder.items():
            shutil.move(path, f'{path}.kept')
            shutil.copy(fleet.keys / f'leaver.{p}', path)
        stolen = fleet.release('2.0.0', {'web': ''})
        for path in builder.values():
            shutil.move(f'{path}.kept', path)
        here, away = fleet.devices
        away.stop()
        old = (fleet.keys / 'crl.pem').read_bytes()
        fleet.upload(stolen)
        fleet.skerry('key', 'revoke', 'leaver', '--dir', fleet.keys)
        out = fleet.json('hub', 'crl', 'upload', fleet.keys / 'crl.pem')
        assert [c['number'] for c in out] == [2]
        wait_for('the list on the device', lambda: number_of(fleet, 'here') == 2)
        assert show(fleet, 'here')['crls_current'] and not show(fleet, 'away')['crls_current']
        # An old list cannot bring the leaver back: neither over the hub, nor past it.
        (tmp_path / 'old.pem').write_bytes(old)
        with pytest.raises(Failed) as e:
            fleet.skerry('hub', 'crl', 'upload', tmp_path / 'old.pem')
        assert 'number 2' in e.value.text
        # Rolled out all the same: refused on both, the one that was away takes the list first.
        fleet.attach('2.0.0')
        away.start()
        jobs = fleet.wait_jobs('2.0.0')
        assert len(jobs) == 2
        for j in jobs:
            assert j['step'] == 'failed' and 'certificate "leaver" was revoked' in j['reason'], j
        wait_for('the list on the other', lambda: number_of(fleet, 'away') == 2)
        assert [c['devices'] for c in fleet.json('hub', 'crl', 'list')] == [2]
        for d in fleet.devices:
            assert d.status()['generation']['version'] == '1.0.0' and d.status()['generation']['state'] == 'good'
        # Other signers go on.
        fleet.upload(fleet.release('3.0.0', {'web': ''}))
        fleet.attach('3.0.0')
        assert all(j['step'] == 'done' for j in fleet.wait_jobs('3.0.0'))
        assert 'REVOCATION LIST OF' in fleet.skerry('hub', 'device', 'show', 'here')
        fleet.skerry('hub', 'crl', 'delete', fleet.json('hub', 'crl', 'list')[0]['issuer'])
        assert fleet.json('hub', 'crl', 'list') == []


def test_a_list_of_another_root_changes_nothing(tmp_path):
    """As a hub that was broken into would do: the right name, its own key, a higher number."""
    with Fleet(tmp_path / 'fleet') as fleet:
        fleet.start_device('dev')
        wait_for('the first report', lambda: number_of(fleet, 'dev') == 1)
        forger = Fleet(tmp_path / 'forger')
        forger.make_keys()
        for name in 'xyz':
            forger.skerry('key', 'release', name, '--dir', forger.keys)
            forger.skerry('key', 'revoke', name, '--dir', forger.keys)
        fleet.skerry('hub', 'crl', 'upload', forger.keys / 'crl.pem')
        row = wait_for('the refusal', lambda: next((c for c in show(fleet, 'dev')['crls'] if c['refused']), None))
        assert row['number'] == 0 and 'none of the trusted roots' in row['refused']
        assert any(c['number'] == 1 and not c['refused'] for c in show(fleet, 'dev')['crls'])
        assert not show(fleet, 'dev')['crls_current']
