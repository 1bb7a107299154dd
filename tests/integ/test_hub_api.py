# SPDX-License-Identifier: Apache-2.0
"""The hub's API: as described, for the right people only, whatever is thrown at it."""
import json
import os
import signal
import socket
import subprocess

import pytest

import hubtest
from hubtest import HUB, Description, Device, Release, Signer

EVIL = ["' OR 1=1 --", '"; DROP TABLE users; --', '%00', '../../etc/passwd', '..%2f..', '%2e%2e', '\u202e', 'a' * 5000,
        '{{7*7}}', '%', '*', "x' UNION SELECT password FROM users --"]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Two organisations with the same project names; acme has a device, a release, a job and more."""
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.CheckedHub(folder)
    hub.add_org('acme', 'alice')
    hub.add_org('evil', 'eve')
    with hub:
        w = type('World', (), {})()
        w.hub, w.folder = hub, folder
        w.alice = hubtest.make_world(hub, 'acme', 'alice')
        w.eve = hub.login('evil', 'eve')
        made = hub.ask('POST', '/api/v1/users', {'name': 'bob', 'role': 'user', 'password': hubtest.PASSWORD}, token=w.alice)
        assert made.status == 201
        w.bob = hub.login('acme', 'bob')
        w.signer = Signer(folder / 'signer')
        w.release = Release(w.signer, 'station', '1.0.0', {'web': os.urandom(70000), 'db': os.urandom(100)})
        hubtest.upload(hub, w.alice, 'station', w.release)
        w.enrolment = hubtest.enrolment_token(hub, w.alice)
        w.device = hubtest.joined_device(hub, folder, 'dev1', w.enrolment)
        a = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': w.release.id}, token=w.alice)
        assert a.status == 200 and a.json['jobs'] == 1
        w.job = w.device.work()['id']
        tokens = hub.ask('GET', '/api/v1/projects/station/deployments/field/enrolment-tokens', token=w.alice).json
        w.enrolment_id = tokens['enrolment_tokens'][0]['id']
        w.token_id = hub.ask('POST', '/api/v1/tokens', {'name': 'ci'}, token=w.alice).json['id']
        a = hub.ask('POST', '/api/v1/crls', raw=hubtest.Root(folder / 'root').crl(1), token=w.alice)
        assert a.status == 200
        w.ids = {'crl': a.json['crls'][0]['id'], 'user': 'bob', 'project': 'station', 'deployment': 'field', 'release': w.release.id,
                 'digest': next(iter(w.release.images)), 'device': w.device.id, 'job': w.job}
        yield w


def path_of(pattern, w, **other):
    ids = dict(w.ids, token=w.enrolment_id if 'enrolment' in pattern else w.token_id, **other)
    for k, v in ids.items():
        pattern = pattern.replace('{' + k + '}', v)
    return pattern


BODIES = {
    'Login': {'organisation': 'acme', 'user': 'x', 'password': 'y'}, 'NewPassword': {'old': 'x', 'new': 'long-enough-password'},
    'Ca': {'pem': 'x'}, 'NewUser': {'name': 'zoe', 'role': 'user'}, 'UserChange': {'role': 'user'}, 'NewToken': {'name': 't'},
    'NewName': {'name': 'zzz'}, 'Attach': {'release': 'a' * 64}, 'NewEnrolment': {'name': 't'},
    'CrlReport': {'version': 0, 'crls': []},
    'Place': {'project': 'station', 'deployment': 'field'}, 'Upgrade': {}, 'AskLogs': {'capsule': 'web'},
}


def operations(kind):
    """Of the description: (method, pattern, body)."""
    for method, pattern, op in Description().operations():
        security = op.get('security', [{'user': []}])
        who = 'public' if not security else 'device' if 'device' in security[0] else 'user'
        role = op.get('x-role', 'user')
        if kind != who and not (kind == 'owner' and who == 'user' and role == 'owner'):
            continue
        ref = op.get('requestBody', {}).get('content', {}).get('application/json', {}).get('schema', {}).get('$ref', '')
        yield method, pattern, BODIES.get(ref.rsplit('/', 1)[-1])


def test_description_is_complete():
    routes = subprocess.run([HUB, 'routes'], capture_output=True, text=True, check=True).stdout.split('\n')
    have = {tuple(line.split()) for line in routes if line}
    said = set()
    for method, pattern, op in Description().operations():
        security = op.get('security', [{'user': []}])
        who = 'public' if not security else 'device' if 'device' in security[0] else op.get('x-role', 'user')
        said.add((method, pattern, who))
    assert have == said


def test_without_token(world):
    for kind in ('user', 'device'):
        for method, pattern, body in operations(kind):
            for token in (None, 'sku_' + '0' * 64, 'x' * 200, world.device.token if kind == 'user' else world.alice):
                a = world.hub.ask(method, path_of(pattern, world), body, token=token)
                assert a.status == 401, (method, pattern, a)


def test_role_user_may_only_look(world):
    n = 0
    for method, pattern, body in operations('owner'):
        a = world.hub.ask(method, path_of(pattern, world), body, token=world.bob)
        assert a.status == 403 and a.json['error'] == 'forbidden', (method, pattern, a)
        n += 1
    assert n > 20
    for method, pattern, _ in operations('user'):
        if method == 'GET' and 'inventory' not in pattern:
            a = world.hub.ask(method, path_of(pattern, world), token=world.bob)
            assert a.status == 200, (method, pattern, a)


def test_other_organisation_sees_nothing(world):
    """Every route that names an object, asked by another owner with the right ids."""
    before = world.hub.ask('GET', '/api/v1/devices', token=world.alice).json
    n = 0
    for method, pattern, body in operations('user'):
        if '{' not in pattern:
            continue
        a = world.hub.ask(method, path_of(pattern, world), body, token=world.eve)
        assert a.status == 404, (method, pattern, a)
        n += 1
    assert n > 30
    after = world.hub.ask('GET', '/api/v1/devices', token=world.alice).json
    for d in before['devices'] + after['devices']:
        del d['last_seen_s']
    assert before == after
    for path, name in (('projects', 'projects'), ('devices', 'devices'), ('jobs', 'jobs'), ('deployments', 'deployments')):
        assert world.hub.ask('GET', f'/api/v1/{path}', token=world.eve).json[name] == []
    text = json.dumps([world.hub.ask('GET', '/api/v1/' + p, token=world.eve).json
                       for p in ('users', 'tokens', 'organisation')])
    assert 'alice' not in text and 'acme' not in text and world.device.id not in text


def test_own_deployment_does_not_reach_foreign_release_or_device(world):
    """Objects of two organisations in one request: the foreign one is not there."""
    hub, eve = world.hub, world.eve
    for path, name in (('/api/v1/projects', 'station'), ('/api/v1/projects/station/deployments', 'field')):
        assert hub.ask('POST', path, {'name': name}, token=eve).status in (201, 409)
    a = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': world.release.id}, token=eve)
    assert a.status == 404
    for verb in ('accept', 'move'):
        a = hub.ask('POST', f'/api/v1/devices/{world.device.id}/{verb}', {'project': 'station', 'deployment': 'field'}, token=eve)
        assert a.status == 404
    # The same release uploaded by another organisation: its images are asked for, not shared.
    a = hub.ask('POST', '/api/v1/projects/station/releases', raw=world.release.skr, token=eve)
    assert a.status == 201 and not any(i['have'] for i in a.json['images'])
    enrolment = hubtest.enrolment_token(hub, eve)
    spy = hubtest.joined_device(hub, world.folder, 'spy', enrolment)
    a = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': world.release.id}, token=eve)
    assert a.status == 409
    for digest in world.release.images:
        assert spy.ask('GET', f'/images/{digest}').status == 404
    assert spy.ask('GET', f'/releases/{world.release.id}').status == 404
    assert spy.ask('POST', f'/jobs/{world.job}/report', {'step': 'failed'}).status == 404
    step = hub.ask('GET', f'/api/v1/jobs/{world.job}', token=world.alice).json['step']
    assert step == 'waiting'


def test_hostile_names_and_values(world):
    hub = world.hub
    from urllib.parse import quote
    for evil in EVIL:
        for method, pattern, body in operations('user'):
            for key in ('project', 'device', 'job', 'release', 'user', 'digest'):
                if '{' + key + '}' not in pattern or method != 'GET':
                    continue
                a = hubtest.Hub.ask(hub, method, path_of(pattern, world, **{key: quote(evil, safe='%')}), token=world.alice)
                assert a.status in (400, 404, 414), (method, pattern, evil, a)
        for path in ('/api/v1/projects', '/api/v1/users', '/api/v1/tokens'):
            a = hub.ask('POST', path, {'name': evil, 'role': 'user'} if 'users' in path else {'name': evil}, token=world.alice)
            assert a.status == 400, (path, evil, a)
        a = hub.ask('GET', '/api/v1/devices?name=' + quote(evil), token=world.alice)
        assert a.status in (200, 400) and (a.status == 400 or a.json['devices'] == [])
    assert hub.ask('GET', '/api/v1/me', token=world.alice).json['name'] == 'alice'


@pytest.mark.parametrize('raw', [b'', b'{', b'[]', b'null', b'"x"', b'{"name":1}', b'{"name":"a","name":"b"}', b'{"name":"\\u0000"}',
                                 b'{"name":"x","more":1}', b'[' * 60000, b'\xff\xfe', b'{"name":"x"} trailing', b'{"name":1e999}'])
def test_malformed_bodies(world, raw):
    a = world.hub.ask('POST', '/api/v1/projects', raw=raw, token=world.alice)
    assert a.status == 400 and a.json['error'] in ('bad-request', 'bad-name', 'bad-value'), a


def test_too_large(world):
    a = world.hub.ask('POST', '/api/v1/projects', raw=b'{"name":"' + b'a' * 100000 + b'"}', token=world.alice)
    assert a.status == 413
    # Claimed only: refused by its head, before a byte of it comes.
    with socket.create_connection(('127.0.0.1', world.hub.port)) as s:
        with world.hub.tls.wrap_socket(s, server_hostname='127.0.0.1') as t:
            t.sendall(f'POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.alice}\r\n'
                      'Content-Length: 5368709120\r\n\r\n'.encode())
            assert b' 413 ' in t.recv(200)


def test_bad_releases(world):
    hub, post = world.hub, '/api/v1/projects/station/releases'
    good = world.release.skr
    for raw in (b'', b'x', good[:100], good[:-1], good + b'x', os.urandom(1000), world.release.tree):
        a = hub.ask('POST', post, raw=raw, token=world.alice)
        assert a.status == 400, (len(raw), a)
    other = Release(world.signer, 'station', '1.0.0', {'web': b'other'})
    a = hub.ask('POST', post, raw=other.skr, token=world.alice)
    assert a.status == 409 and a.json['error'] == 'already-exists'
    wrong = Release(world.signer, 'weather', '1.0.0', {'web': b'other'})
    assert hub.ask('POST', post, raw=wrong.skr, token=world.alice).status == 400
    again = hub.ask('POST', post, raw=good, token=world.alice)
    assert again.status == 200 and again.json['complete']


def test_registered_authority(world):
    hub = world.hub
    stranger = Signer(world.folder / 'stranger')
    assert hub.ask('PUT', '/api/v1/organisation/ca', {'pem': 'x'}, token=world.alice).status == 400
    assert hub.ask('PUT', '/api/v1/organisation/ca', {'pem': world.signer.ca.read_text()}, token=world.alice).status == 204
    bad = Release(stranger, 'station', '1.1.0', {'web': b'1'})
    a = hub.ask('POST', '/api/v1/projects/station/releases', raw=bad.skr, token=world.alice)
    assert a.status == 403 and a.json['error'] == 'untrusted'
    ok = Release(world.signer, 'station', '1.1.0', {'web': b'1'})
    assert hub.ask('POST', '/api/v1/projects/station/releases', raw=ok.skr, token=world.alice).status == 201
    assert hub.ask('DELETE', '/api/v1/organisation/ca', token=world.alice).status == 204
    assert hub.ask('DELETE', f'/api/v1/projects/station/releases/{ok.id}', token=world.alice).status == 204


def test_image_upload_resumes_and_checks(world):
    hub, data = world.hub, os.urandom(300000)
    rel = Release(world.signer, 'station', '2.0.0', {'big': data})
    digest = next(iter(rel.images))
    assert hub.ask('PUT', f'/api/v1/images/{digest}', raw=data, token=world.alice).status == 404
    assert hub.ask('POST', '/api/v1/projects/station/releases', raw=rel.skr, token=world.alice).status == 201
    put = lambda at, raw: hub.ask('PUT', f'/api/v1/images/{digest}?offset={at}', raw=raw, token=world.alice)
    assert put(0, data[:1000]).json == {'offset': 1000, 'complete': False}
    assert put(0, data).status == 409
    assert put(2000, data[2000:]).status == 409
    attach = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': rel.id}, token=world.alice)
    assert attach.status == 409
    # Cut in the middle: what arrived stays.
    with socket.create_connection(('127.0.0.1', hub.port)) as s:
        with hub.tls.wrap_socket(s, server_hostname='127.0.0.1') as t:
            t.sendall(f'PUT /api/v1/images/{digest}?offset=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.alice}\r\n'
                      f'Content-Length: {len(data) - 1000}\r\n\r\n'.encode() + data[1000:150000])
    hubtest.wait_for(lambda: hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json['offset'] == 150000)
    assert put(150000, data[150000:-1] + bytes([data[-1] ^ 1])).json['error'] == 'digest-mismatch'
    assert hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json['offset'] == 0
    assert put(0, data + b'x').status in (400, 413)
    state = hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json
    assert put(state['offset'], data[state['offset']:]).json['complete']
    assert put(0, data).status == 409
    assert hub.ask('DELETE', f'/api/v1/projects/station/releases/{rel.id}', token=world.alice).status == 204
    assert hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).status == 404
    assert not list((hub.data / 'images').glob(f'*/{digest}*'))


def test_two_uploads_of_one_image(world):
    hub, data = world.hub, os.urandom(200000)
    rel = Release(world.signer, 'station', '4.0.0', {'big': data})
    digest = next(iter(rel.images))
    assert hub.ask('POST', '/api/v1/projects/station/releases', raw=rel.skr, token=world.alice).status == 201
    path, at = f'/api/v1/images/{digest}?offset=0', lambda: hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json['offset']
    finish = hub.slow('PUT', path, world.alice, data, 100000)
    hubtest.wait_for(lambda: at() == 100000, seconds=30)
    a = hub.ask('PUT', f'/api/v1/images/{digest}?offset=100000', raw=data[100000:], token=world.alice)
    assert a.status == 409 and a.json['error'] == 'in-use', a
    a = finish()
    assert a.status == 200 and a.json['complete'], a
    assert hub.ask('DELETE', f'/api/v1/projects/station/releases/{rel.id}', token=world.alice).status == 204


def test_release_deleted_and_uploaded_again_while_an_image_comes(world):
    """The upload of the first must not give its name to what the second has begun."""
    hub, data = world.hub, os.urandom(200000)
    rel = Release(world.signer, 'station', '5.0.0', {'big': data})
    digest, post = next(iter(rel.images)), '/api/v1/projects/station/releases'
    assert hub.ask('POST', post, raw=rel.skr, token=world.alice).status == 201
    offset = lambda: hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json['offset']
    first = hub.slow('PUT', f'/api/v1/images/{digest}?offset=0', world.alice, data, 100000)
    hubtest.wait_for(lambda: offset() == 100000, seconds=30)
    assert hub.ask('DELETE', f'{post}/{rel.id}', token=world.alice).status == 204
    assert hub.ask('POST', post, raw=rel.skr, token=world.alice).status == 201
    second = hub.slow('PUT', f'/api/v1/images/{digest}?offset=0', world.alice, data, 1000)
    hubtest.wait_for(lambda: offset() == 1000, seconds=30)
    a = first()
    assert a.status in (404, 409), a
    assert not hub.ask('GET', f'/api/v1/images/{digest}', token=world.alice).json['have']
    a = second()
    assert a.status == 200 and a.json['complete'], a
    assert next((hub.data / 'images').glob(f'*/{digest}')).read_bytes() == data
    assert hub.ask('DELETE', f'{post}/{rel.id}', token=world.alice).status == 204


def test_ranges(world):
    digest, data = next(iter(world.release.images.items()))
    n = len(data)
    get = lambda value: world.device.ask('GET', f'/images/{digest}', headers={'Range': value})
    for value, want in (('bytes=0-', data), (f'bytes={n - 1}-', data[-1:]), ('bytes=0-0', data[:1]), ('bytes=-1', data[-1:]),
                        (f'bytes=0-{n * 10}', data), (f'bytes=-{n * 10}', data)):
        a = get(value)
        assert a.status == 206 and a.body == want, (value, a)
    for value in (f'bytes={n}-', f'bytes={2**63}-', f'bytes={2**64 + 1}-', 'bytes=-0'):
        assert get(value).status in (200, 416), value
        assert get(value).status == 416 or get(value).body == data, value
    for value in ('bytes=5-2', 'bytes=x-', 'bytes=', 'chars=0-1', 'bytes=0-1,3-4', 'bytes=--1'):
        a = get(value)
        assert a.status == 416 or (a.status == 200 and a.body == data), (value, a)


def test_what_was_allowed_at_the_head_must_be_allowed_at_the_end(world):
    """A body may take its time; meanwhile its sender lost the token, the role, or is gone."""
    hub = world.hub
    body = lambda name: json.dumps({'name': name}).encode()
    for user, act in (('tom', lambda: hub.ask('PATCH', '/api/v1/users/tom', {'role': 'user'}, token=world.alice)),
                      ('tim', lambda: hub.ask('DELETE', '/api/v1/users/tim', token=world.alice))):
        assert hub.ask('POST', '/api/v1/users', {'name': user, 'role': 'owner', 'password': hubtest.PASSWORD}, token=world.alice).status == 201
        finish = hub.slow('POST', '/api/v1/projects', hub.login('acme', user), body(f'of-{user}'), 5)
        assert act().status in (200, 204)
        assert finish().status in (401, 403)
        assert hub.ask('GET', f'/api/v1/projects/of-{user}', token=world.alice).status == 404


def test_a_deleted_device_does_not_write_into_the_next_one(world):
    """Row numbers are used again: a request that was let in before must not reach who came after."""
    hub = world.hub
    old = hubtest.joined_device(hub, world.folder, 'ghost', world.enrolment)
    finish = hub.slow('PUT', '/device/v1/inventory', old.token, json.dumps({'kernel': 'of a ghost', 'x': 'y' * 500}).encode(), 20)
    log = hub.slow('POST', '/device/v1/logs', old.token, json.dumps({'capsule': 'web', 'text': 'of a ghost'}).encode(), 5)
    assert hub.ask('DELETE', f'/api/v1/devices/{old.id}', token=world.alice).status == 204
    new = hubtest.joined_device(hub, world.folder, 'heir', world.enrolment)
    assert finish().status == 401 and log().status == 401
    assert hub.ask('GET', f'/api/v1/devices/{new.id}/inventory', token=world.alice).status == 404
    assert hub.ask('GET', f'/api/v1/devices/{new.id}/logs', token=world.alice).json['logs'] == []
    assert hub.ask('DELETE', f'/api/v1/devices/{new.id}', token=world.alice).status == 204


def test_tokens_are_bounded(world):
    hub = world.hub
    assert hub.ask('POST', '/api/v1/users', {'name': 'many', 'role': 'user', 'password': hubtest.PASSWORD}, token=world.alice).status == 201
    token, conn = hub.login('acme', 'many'), hub.connect()
    status = [hub.ask('POST', '/api/v1/tokens', {'name': f't{i}'}, token=token, conn=conn).status for i in range(102)]
    conn.close()
    assert status == [201] * 100 + [429] * 2
    assert hub.ask('DELETE', '/api/v1/users/many', token=world.alice).status == 204


def audit_log(world):
    return world.hub.ask('GET', '/api/v1/audit?limit=500', token=world.alice).json['audit']


def test_every_change_leaves_one_line(world):
    """Each route that changes something, refused or not: mostly asked for what is not there.
    By somebody who was refused nothing yet: equal refusals are one line."""
    who = {'name': 'audrey', 'role': 'owner', 'password': hubtest.PASSWORD}
    assert world.hub.ask('POST', '/api/v1/users', who, token=world.alice).status == 201
    token = world.hub.login('acme', 'audrey')
    n = 0
    for method, pattern, body in operations('user'):
        if method == 'GET' or pattern.endswith('/logout') or '/images/' in pattern:
            continue
        gone = '{' in pattern
        path = path_of(pattern, world, **{k: 'nothing' for k in world.ids}) if gone else pattern
        path = path.replace(world.token_id, 'nothing')
        bad = {'nonsense': 1} if not gone and body else body
        before = audit_log(world)
        a = world.hub.ask(method, path, bad, token=token)
        assert a.status < 500, (method, pattern, a)
        after = audit_log(world)
        outcome = a.json['error'] if a.status >= 400 else 'ok'
        assert after[0]['id'] == before[0]['id'] + 1 and after[0]['outcome'] == outcome, (method, pattern, after[:2])
        assert after[0]['actor'] == 'user:audrey'
        n += 1
    assert n > 25
    assert world.hub.ask('DELETE', '/api/v1/users/audrey', token=world.alice).status == 204


@pytest.mark.parametrize('end', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_refusals_are_counted_and_the_count_is_kept_when_the_hub_ends(tmp_path, end):
    hub = hubtest.CheckedHub(tmp_path)
    hub.add_org('acme', 'alice')
    hub.start()
    try:
        token = hub.login('acme', 'alice')
        for _ in range(50):
            assert hub.ask('DELETE', '/api/v1/tokens/nothing', token=token).status == 404
        hub.stop(end)
        hub.start()
        lines = [e for e in hub.ask('GET', '/api/v1/audit', token=token).json['audit'] if e['outcome'] == 'not-found']
        assert [(e['actor'], e['object'], e['times']) for e in lines] == [('user:alice', 'nothing', 49), ('user:alice', 'nothing', 1)]
    finally:
        hub.stop()


def test_no_name_makes_the_audit_log_unreadable(world):
    """Long names are cut, and never in the middle of a character; also a user who only looks can send them."""
    from urllib.parse import quote
    for shift in range(3):
        for letter in ('\u00e9', '\u20ac', '\U0001f422'):
            name = quote('x' * shift + letter * 150)
            assert hubtest.Hub.ask(world.hub, 'DELETE', f'/api/v1/projects/{name}', token=world.alice).status == 404
            assert hubtest.Hub.ask(world.hub, 'DELETE', f'/api/v1/tokens/{name}', token=world.bob).status == 404
    log = audit_log(world)
    assert sum(e['action'] == 'token.revoke' and len(e['object']) > 40 for e in log) >= 9


def test_used_things_are_not_deleted(world):
    hub, t = world.hub, world.alice
    for path in ('/api/v1/projects/station', '/api/v1/projects/station/deployments/field',
                 f'/api/v1/projects/station/releases/{world.release.id}'):
        a = hub.ask('DELETE', path, token=t)
        assert a.status == 409 and a.json['error'] == 'in-use', a
    a = hub.ask('DELETE', '/api/v1/users/alice', token=t)
    assert a.status == 409 and a.json['error'] == 'bad-state'
    assert hub.ask('PATCH', '/api/v1/users/alice', {'role': 'user'}, token=t).status == 409


def test_tokens_end(world):
    hub = world.hub
    made = hub.ask('POST', '/api/v1/tokens', {'name': 'short', 'expires_in_s': 2}, token=world.bob).json
    assert hub.ask('GET', '/api/v1/me', token=made['token']).status == 200
    hubtest.wait_for(lambda: hub.ask('GET', '/api/v1/me', token=made['token']).status == 401)
    made = hub.ask('POST', '/api/v1/tokens', {'name': 'long'}, token=world.bob).json
    assert hub.ask('DELETE', f'/api/v1/tokens/{made["id"]}', token=world.alice).status == 204
    assert hub.ask('GET', '/api/v1/me', token=made['token']).status == 401
    other = hub.ask('POST', '/api/v1/tokens', {'name': 'mine'}, token=world.alice).json
    assert hub.ask('DELETE', f'/api/v1/tokens/{other["id"]}', token=world.bob).status == 404
    assert other['id'] not in json.dumps(hub.ask('GET', '/api/v1/tokens', token=world.bob).json)


def test_first_password_must_be_changed(world):
    hub = world.hub
    made = hub.ask('POST', '/api/v1/users', {'name': 'carol', 'role': 'owner'}, token=world.alice).json
    first = hub.login('acme', 'carol', made['password'])
    assert hub.ask('GET', '/api/v1/devices', token=first).status == 403
    assert hub.ask('POST', '/api/v1/me/password', {'old': 'wrong-password', 'new': 'another-password'}, token=first).status == 403
    assert hub.ask('POST', '/api/v1/me/password', {'old': made['password'], 'new': 'short'}, token=first).status == 400
    a = hub.ask('POST', '/api/v1/me/password', {'old': made['password'], 'new': 'another-password'}, token=first)
    assert a.status == 204
    assert hub.ask('GET', '/api/v1/devices', token=first).status == 200
    assert hub.ask('PATCH', '/api/v1/users/carol', {'role': 'user'}, token=world.alice).json['role'] == 'user'
    assert hub.ask('POST', '/api/v1/projects', {'name': 'x'}, token=first).status == 403
    assert hub.ask('DELETE', '/api/v1/users/carol', token=world.alice).status == 204
    assert hub.ask('GET', '/api/v1/me', token=first).status == 401


def test_graph(world):
    g = world.hub.ask('GET', f'/api/v1/projects/station/releases/{world.release.id}/graph', token=world.alice).json
    assert {a['name'] for a in g['apps']} == {'web', 'db'}
    f = world.hub.ask('GET', f'/api/v1/projects/station/releases/{world.release.id}/file', token=world.alice)
    assert f.body == world.release.skr


def test_audit_tells_who_did_what(world):
    log = world.hub.ask('GET', '/api/v1/audit', token=world.alice).json['audit']
    seen = {(e['actor'], e['action'], e['outcome']) for e in log}
    assert ('user:alice', 'deployment.attach', 'ok') in seen
    assert ('user:alice', 'project.delete', 'in-use') in seen
    assert any(e['action'] == 'release.upload' and e['outcome'] == 'untrusted' for e in log)
    assert all(e['peer'] == '127.0.0.1' for e in log if e['actor'] != 'local')
    page = world.hub.ask('GET', '/api/v1/audit?limit=2', token=world.alice).json
    rest = world.hub.ask('GET', f'/api/v1/audit?limit=2&before={page["next"]}', token=world.alice).json
    assert page['audit'][-1]['id'] > rest['audit'][0]['id']
    for verb in ('DELETE', 'PUT', 'POST', 'PATCH'):
        assert hubtest.Hub.ask(world.hub, verb, '/api/v1/audit', token=world.alice).status == 405


def test_paging(world):
    hub = world.hub
    for i in range(5):
        assert Device(hub, world.folder, f'p{i}').enrol(organisation='acme').status == 202
    names, after = [], 0
    while True:
        page = hub.ask('GET', f'/api/v1/devices?status=pending&limit=2&after={after}', token=world.alice).json
        names += [d['name'] for d in page['devices']]
        if 'next' not in page:
            break
        after = page['next']
    assert names == [f'p{i}' for i in range(5)]
