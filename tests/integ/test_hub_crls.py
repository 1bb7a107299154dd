# SPDX-License-Identifier: Apache-2.0
"""Revocation lists at the hub: kept, carried, told; nobody else's, nothing older, nothing half."""
import os
import subprocess
import threading

import pytest

import hubtest
from hubtest import Release, Root, Signer, openssl


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.CheckedHub(folder)
    hub.add_org('acme', 'alice')
    hub.add_org('other', 'olga')
    with hub:
        w = type('World', (), {})()
        w.hub, w.folder = hub, folder
        w.alice, w.olga = hubtest.make_world(hub, 'acme', 'alice'), hubtest.make_world(hub, 'other', 'olga')
        w.enrolment = hubtest.enrolment_token(hub, w.alice)
        w.root, w.second = Root(folder / 'one', 'root one'), Root(folder / 'two', 'root two')
        yield w


def put(w, raw, token=None):
    return w.hub.ask('POST', '/api/v1/crls', raw=raw, token=token or w.alice)


def listed(w, token=None):
    return {c['issuer']: c for c in w.hub.ask('GET', '/api/v1/crls', token=token or w.alice).json['crls']}


def joined(w, name):
    return hubtest.joined_device(w.hub, w.folder, name, w.enrolment)


def offer(device):
    a = device.ask('GET', '/crls')
    assert a.status == 200, a
    return dict(a.json, crls=sorted(a.json['crls'], key=lambda c: c['issuer']))


def have(device, version, rows):
    a = device.ask('PUT', '/crls', {'version': version, 'crls': rows})
    assert a.status == 204, a


def news(device, wait=0):
    a = device.ask('GET', f'/work?wait={wait}')
    return a.status == 200 and a.json.get('crls') is True


def test_only_newer_lists_are_taken(world):
    first = world.root.crl(5)
    a = put(world, first)
    assert a.status == 200 and [(c['issuer'], c['number'], c['entries']) for c in a.json['crls']] == [('root one', 5, 0)]
    assert put(world, first).status == 200, 'the same once more is no mistake'
    for number in (4, 1, 0):
        a = put(world, world.root.crl(number))
        assert a.status == 409 and 'number 5' in a.json['message'], a
    world.root.revoke([1, 2])
    a = put(world, world.root.crl(5))
    assert a.status == 409, 'another list with the same number'
    assert put(world, world.root.crl(6, der=True)).status == 200
    assert listed(world)['root one']['number'] == 6 and listed(world)['root one']['entries'] == 2
    assert put(world, world.second.crl(1)).status == 200
    assert set(listed(world)) == {'root one', 'root two'}


def test_several_roots_in_one_file_all_or_nothing(world):
    a = put(world, world.root.crl(7) + world.second.crl(2))
    assert a.status == 200 and {c['number'] for c in a.json['crls']} == {7, 2}
    a = put(world, world.second.crl(3) + world.root.crl(6))
    assert a.status == 409 and listed(world)['root two']['number'] == 2, 'none of it'


@pytest.mark.parametrize('damage', [
    lambda pem: b'', lambda pem: b'x', lambda pem: pem[:-40], lambda pem: pem[60:], lambda pem: pem.replace(b'X509 CRL', b'CERTIFICATE'),
    lambda pem: pem + pem[:-40], lambda pem: b'\x30\x80' + b'\0' * 50, lambda pem: b'\x30\x84\xff\xff\xff\xff', os.urandom,
    lambda pem: pem.replace(pem[100:140], pem[100:140][::-1])], ids=range(10))
def test_garbage_is_refused(world, damage):
    pem = world.root.crl(99)
    raw = os.urandom(5000) if damage is os.urandom else damage(pem)
    before = listed(world)
    a = put(world, raw)
    assert a.status == 400 and a.json['error'] in ('bad-value', 'bad-request'), a
    assert listed(world) == before


def test_what_no_device_would_take_is_refused(world):
    text = (world.root.dir / 'conf').read_text()
    (world.root.dir / 'conf').write_text(text + 'issuingDistributionPoint = critical, @i\n[i]\nonlyuser = TRUE\n')
    a = put(world, world.root.crl(50))
    assert a.status == 400 and 'critical' in a.json['message']
    (world.root.dir / 'conf').write_text(text.replace('default_md = sha256', 'default_md = sha1'))
    a = put(world, world.root.crl(50))
    assert a.status == 400 and 'weak' in a.json['message']
    (world.root.dir / 'conf').write_text(text.replace('crlnumber', '# ').replace('crl_extensions', '# '))
    assert put(world, world.root.crl(50)).status == 400
    (world.root.dir / 'conf').write_text(text)
    for huge in (2**63 - 1, 2**64 + 1):
        assert put(world, world.root.crl(huge)).status == 400, 'it would shut out every later one'


def test_too_large(world):
    world.second.revoke(range(1, 40000))
    a = put(world, world.second.crl(60, der=True))
    assert a.status == 413, a
    world.second.revoke([])
    many = b''.join(Root(world.folder / f'many{i}', f'many {i}').crl(1) for i in range(33))
    assert put(world, many).status == 413
    assert put(world, many, token=world.olga).status == 413 and listed(world, world.olga) == {}


def test_roots_are_bounded(world):
    pems = [Root(world.folder / f'bound{i}', f'bound {i}').crl(1) for i in range(33)]
    assert put(world, b''.join(pems[:32]), token=world.olga).status == 200
    assert put(world, pems[32], token=world.olga).status == 429
    for c in listed(world, world.olga).values():
        assert world.hub.ask('DELETE', f'/api/v1/crls/{c["id"]}', token=world.olga).status == 204
    assert listed(world, world.olga) == {}


def test_each_organisation_has_its_own(world):
    crl = listed(world)['root one']
    assert listed(world, world.olga) == {}
    for method in ('GET', 'DELETE'):
        assert world.hub.ask(method, f'/api/v1/crls/{crl["id"]}', token=world.olga).status == 404
    stranger = hubtest.joined_device(world.hub, world.folder, 'stranger', hubtest.enrolment_token(world.hub, world.olga))
    assert offer(stranger)['crls'] == []
    assert stranger.ask('GET', f'/crls/{crl["id"]}').status == 404
    assert put(world, world.root.crl(1), token=world.olga).status == 200, "another's number is nothing to it"
    assert listed(world)['root one']['number'] == crl['number']
    assert world.hub.ask('DELETE', f'/api/v1/crls/{crl["id"]}', token=world.olga).status == 204


def test_devices_get_it_and_say_so(world):
    d = joined(world, 'a')
    o = offer(d)
    assert [(c['issuer'], c['number']) for c in o['crls']] == [('root one', 7), ('root two', 2)]
    pem = d.ask('GET', f'/crls/{o["crls"][0]["issuer_id"]}')
    assert pem.status == 200 and b'07' in openssl('crl', '-noout', '-crlnumber', data=pem.body)
    shown = lambda: world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.alice).json
    assert shown()['crls'] == [] and not shown()['crls_current']
    rows = [dict(c) for c in o['crls']]
    rows[1].update(number=0, refused='none of the trusted roots signed it')
    have(d, o['version'], rows)
    assert not shown()['crls_current'] and listed(world)['root one']['devices'] == 1 and listed(world)['root two']['devices'] == 0
    assert 'none of the trusted' in [c for c in shown()['crls'] if c['issuer'] == 'root two'][0]['refused']
    have(d, o['version'], o['crls'])
    assert shown()['crls_current'] and listed(world)['root two']['devices'] == 1
    have(d, o['version'], [dict(c, number=c['number'] + 1) for c in o['crls']])
    assert shown()['crls_current'], 'a newer one by hand is good too'


def test_a_new_list_reaches_waiting_devices_at_once_and_others_when_they_return(world):
    here, away = joined(world, 'here'), joined(world, 'away')
    other = hubtest.joined_device(world.hub, world.folder, 'elsewhere', hubtest.enrolment_token(world.hub, world.olga))
    for d in (here, away):
        have(d, offer(d)['version'], offer(d)['crls'])
        assert not news(d)
    got = {}
    threads = [threading.Thread(target=lambda d=d, s=s: got.__setitem__(d.name, news(d, wait=s))) for d, s in ((here, 60), (other, 5))]
    for t in threads:
        t.start()
    hubtest_wait_connected(world, here)
    assert put(world, world.root.crl(8)).status == 200
    for t in threads:
        t.join(90)
    assert got == {'here': True, 'elsewhere': False}
    assert news(away), 'it was away'
    assert put(world, world.root.crl(9)).status == 200
    o = offer(away)
    assert o['crls'][0]['number'] == 9, 'the newest of several, once'
    have(away, o['version'], o['crls'])
    assert not news(away)
    assert news(here), 'until it has looked'


def hubtest_wait_connected(world, device):
    import time
    end = time.monotonic() + 30
    while not world.hub.ask('GET', f'/api/v1/devices/{device.id}', token=world.alice).json['connected']:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_list_that_comes_while_the_device_looks_is_told_again(world):
    d = joined(world, 'slow')
    o = offer(d)
    assert put(world, world.root.crl(10)).status == 200
    have(d, o['version'], o['crls'])
    assert news(d)
    o = offer(d)
    have(d, o['version'], o['crls'])
    assert not news(d)


def test_before_any_job(world):
    d = joined(world, 'both')
    have(d, offer(d)['version'], [])
    assert world.hub.ask('POST', f'/api/v1/devices/{d.id}/inventory', token=world.alice).status == 202
    assert put(world, world.root.crl(11)).status == 200
    assert news(d)
    have(d, offer(d)['version'], [])
    assert d.work()['kind'] == 'inventory'


def test_hostile_reports(world):
    d = joined(world, 'liar')
    row = {'issuer': 'x', 'issuer_id': 'a' * 64, 'number': 1}
    for body in ({}, {'version': 1}, {'version': 1, 'crls': {}}, {'version': 1, 'crls': [row] * 33}, {'version': -1, 'crls': []},
                 {'version': 1, 'crls': [dict(row, issuer='y' * 300)]}, {'version': 1, 'crls': [dict(row, issuer_id='zz')]},
                 {'version': 1, 'crls': [dict(row, number=-1)]}, {'version': 1, 'crls': [dict(row, number=1e30)]},
                 {'version': 1, 'crls': [dict(row, refused='r' * 2000)]}, {'version': 1, 'crls': ['x']}, {'version': 1, 'crls': [], 'more': 1}):
        assert d.ask('PUT', '/crls', body).status == 400, body
    have(d, 2**62, [row, row])
    assert len(world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.alice).json['crls']) == 1
    for evil in ('x', 'A' * 64, 'a' * 64):
        assert d.ask('GET', f'/crls/{evil}').status == 404


def test_registered_roots_check_lists_and_lists_check_releases(world):
    hub = world.hub
    signer = Signer(world.folder / 'signer')
    root = Root(world.folder / 'three', 'root')
    for name in ('ca.pem', 'ca.key'):
        (root.dir / name).write_bytes((signer.dir / name).read_bytes())
    assert hub.ask('PUT', '/api/v1/organisation/ca', {'pem': signer.ca.read_text()}, token=world.alice).status == 204
    a = put(world, world.root.crl(70))
    assert a.status == 403 and a.json['error'] == 'untrusted'
    post = lambda v: hub.ask('POST', '/api/v1/projects/station/releases', raw=Release(signer, 'station', v, {'web': b'1'}).skr, token=world.alice)
    assert post('1.0.0').status == 201
    serial = int(subprocess.run(['openssl', 'x509', '-in', signer.cert, '-noout', '-serial'], capture_output=True, text=True,
                                check=True).stdout.strip().split('=')[1], 16)
    root.dir.joinpath('index').write_text(f'R\t351231235959Z\t260101000000Z\t{serial:040X}\tunknown\t/CN=builder\n')
    assert put(world, root.crl(1)).status == 200
    a = post('1.1.0')
    assert a.status == 403 and a.json['error'] == 'revoked' and 'builder' in a.json['message'], a
    assert hub.ask('DELETE', '/api/v1/organisation/ca', token=world.alice).status == 204


def test_every_change_is_audited_once(world):
    log = lambda: [(e['action'], e['outcome']) for e in world.hub.ask('GET', '/api/v1/audit?limit=500', token=world.alice).json['audit']]
    before = log()
    assert put(world, world.second.crl(80)).status == 200
    assert put(world, b'x').status == 400
    assert world.hub.ask('DELETE', f'/api/v1/crls/{listed(world)["root two"]["id"]}', token=world.alice).status == 204
    # What was refused before may be counted with that.
    assert ('crl.upload', 'bad-value') in log()
    done = [e for e in log() if e[1] == 'ok']
    assert done[:2] == [('crl.delete', 'ok'), ('crl.upload', 'ok')]
    assert len(done) == sum(e[1] == 'ok' for e in before) + 2


def test_it_survives_a_kill(world):
    assert put(world, world.root.crl(90)).status == 200
    d = joined(world, 'survivor')
    o = offer(d)
    have(d, o['version'], o['crls'])
    world.hub.kill()
    world.hub.start()
    assert listed(world)['root one']['number'] == 90 and listed(world)['root one']['devices'] >= 1
    assert not news(d)
