# SPDX-License-Identifier: Apache-2.0
"""Lists come in pages: whole, in order, bounded, whatever is made and deleted between two of them."""
import itertools
import json
import os
import sqlite3
import subprocess
import time

import pytest

import hubtest
from hubtest import SKERRY, Device, Release, Signer

FIELD = '/api/v1/projects/station/deployments/field'


class Pages:
    """Where a list is, how to make one more of its things and how to delete one."""

    def __init__(self, path, member, key, cursor, make, delete=None):
        self.path, self.member, self.key, self.cursor, self.make, self.delete = path, member, key, cursor, make, delete


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.CheckedHub(folder)
    hub.add_org('acme', 'alice')
    with hub:
        w = type('World', (), {})()
        w.hub, w.folder, w.alice = hub, folder, hubtest.make_world(hub, 'acme', 'alice')
        w.ask = lambda method, path, body=None, **kw: hub.ask(method, path, body, token=w.alice, **kw)
        w.signer = Signer(folder / 'signer')
        w.device = hubtest.joined_device(hub, folder, 'dev', hubtest.enrolment_token(hub, w.alice))
        w.numbers = itertools.count()
        yield w


def made(a, key):
    assert a.status in (200, 201, 202), a
    return a.json[key]


def lists(w):
    name = lambda: f'n{next(w.numbers)}'
    new = lambda path, key, **body: lambda: made(w.ask('POST', path, dict(body, name=name())), key)
    gone = lambda path: lambda i: w.ask('DELETE', f'{path}/{i}')

    def release():
        n = next(w.numbers)
        return made(w.ask('POST', '/api/v1/projects/station/releases', raw=Release(w.signer, 'station', f'1.{n}.0', {'a': b'%d' % n}).skr), 'id')

    def device():
        d = Device(w.hub, w.folder, name())
        assert d.enrol(organisation='acme').status == 202
        return d.id

    def log():
        text = name()
        assert w.device.ask('POST', '/logs', {'capsule': 'web', 'text': text}).status == 204
        return text

    def job():
        i = made(w.ask('POST', f'/api/v1/devices/{w.device.id}/inventory'), 'id')
        w.device.report(i, 'done')
        return i

    def audited():
        text = name()
        assert w.ask('POST', '/api/v1/projects', {'name': text}).status == 201
        return text
    return {
        'users': Pages('/api/v1/users', 'users', 'name', 'after', new('/api/v1/users', 'name', role='user', password=hubtest.PASSWORD), gone('/api/v1/users')),
        'tokens': Pages('/api/v1/tokens', 'tokens', 'id', 'after', new('/api/v1/tokens', 'id'), gone('/api/v1/tokens')),
        'projects': Pages('/api/v1/projects', 'projects', 'name', 'after', new('/api/v1/projects', 'name'), gone('/api/v1/projects')),
        'deployments': Pages('/api/v1/deployments', 'deployments', 'name', 'after', new('/api/v1/projects/station/deployments', 'name'),
                             gone('/api/v1/projects/station/deployments')),
        'deployments of a project': Pages('/api/v1/projects/station/deployments', 'deployments', 'name', 'after',
                                          new('/api/v1/projects/station/deployments', 'name'), gone('/api/v1/projects/station/deployments')),
        'enrolment tokens': Pages(f'{FIELD}/enrolment-tokens', 'enrolment_tokens', 'id', 'after', new(f'{FIELD}/enrolment-tokens', 'id')),
        'devices': Pages('/api/v1/devices', 'devices', 'id', 'after', device, gone('/api/v1/devices')),
        'pending devices': Pages('/api/v1/devices?status=pending', 'devices', 'id', 'after', device, gone('/api/v1/devices')),
        'releases': Pages('/api/v1/projects/station/releases', 'releases', 'id', 'before', release, gone('/api/v1/projects/station/releases')),
        'jobs': Pages('/api/v1/jobs', 'jobs', 'id', 'before', job),
        'jobs of a device': Pages(f'/api/v1/devices/{w.device.id}/jobs', 'jobs', 'id', 'before', job),
        'logs': Pages(f'/api/v1/devices/{w.device.id}/logs', 'logs', 'text', 'before', log),
        'audit log': Pages('/api/v1/audit', 'audit', 'object', 'before', audited),
    }


LISTS = ['users', 'tokens', 'projects', 'deployments', 'deployments of a project', 'enrolment tokens', 'devices', 'pending devices',
         'releases', 'jobs', 'jobs of a device', 'logs', 'audit log']


def page(w, p, limit, cursor=None):
    mark = '&' if '?' in p.path else '?'
    a = w.ask('GET', f'{p.path}{mark}limit={limit}' + (f'&{p.cursor}={cursor}' if cursor is not None else ''))
    assert a.status == 200, a
    rows = a.json[p.member]
    assert len(rows) <= limit and not any('row' in r for r in rows)
    return [r[p.key] for r in rows], a.json.get('next')


def walk(w, p, limit, between=lambda: None):
    seen, cursor = [], None
    while True:
        rows, cursor = page(w, p, limit, cursor)
        seen += rows
        if cursor is None:
            return seen
        assert rows, 'a page that is not the last is not empty'
        between()


@pytest.mark.parametrize('name', LISTS)
def test_borders(world, name):
    """Each row once, in one order, at every size of page; a page that is just full is the last when no more is there."""
    p = lists(world)[name]
    new = [p.make() for _ in range(5)]
    whole = walk(world, p, 8 if name == 'logs' else 500)
    assert len(set(whole)) == len(whole) or name == 'audit log'
    mine = [x for x in whole if x in new]
    assert mine == (new if p.cursor == 'after' else new[::-1])
    n = len(whole)
    for limit in (1, 2, n - 1, n, n + 1):
        if 0 < limit <= (8 if name == 'logs' else 500):
            assert walk(world, p, limit) == whole, limit
    if n <= (8 if name == 'logs' else 500):
        assert page(world, p, n) == (whole, None), 'just full'


@pytest.mark.parametrize('name', LISTS)
def test_made_and_deleted_between_two_pages(world, name):
    """What was there all the time comes once. What is made meanwhile may come, but not twice."""
    p = lists(world)[name]
    for _ in range(3):
        p.make()
    before = walk(world, p, 8 if name == 'logs' else 500)
    newcomers, doomed = [], []

    def between():
        if len(newcomers) < 3:
            newcomers.append(p.make())
            if p.delete and len(newcomers) > 1:
                assert p.delete(newcomers[-2]).status == 204
                doomed.append(newcomers[-2])
    seen = walk(world, p, 2, between)
    assert newcomers
    assert [x for x in seen if x not in newcomers] == before
    assert all(seen.count(x) <= 1 for x in newcomers)
    if p.cursor == 'after':
        assert all(x in seen for x in newcomers if x not in doomed), 'what is made goes to the end'


@pytest.mark.parametrize('name', LISTS)
def test_hostile_cursors(world, name):
    p = lists(world)[name]
    mark = '&' if '?' in p.path else '?'
    ask = lambda query: world.ask('GET', f'{p.path}{mark}{query}')
    p.make()
    for bad in ('x', '-1', '1e3', '0x10', '1%20', str(2**63), str(2**64), '9' * 400, '%00', "1'--", '', '%201', '+1'):
        for query in (f'{p.cursor}={bad}', f'limit={bad}'):
            a = ask(query)
            assert a.status == 400 and a.json['error'] == 'bad-request', (query, a)
    assert ask('limit=0').status == 400
    beyond = ask(f'{p.cursor}={2**63 - 1 if p.cursor == "after" else 1}')
    assert beyond.status == 200 and beyond.json == {p.member: []}
    assert ask(f'{p.cursor}=0').json == ask('limit=500').json, 'from the start'
    assert len(ask(f'limit={2**63 - 1}').json[p.member]) <= 500
    other = {'after': 'before', 'before': 'after'}[p.cursor]
    assert ask(f'{other}=1').json == ask('limit=500').json, 'the cursor of other lists is none here'


def test_a_foreign_cursor_shows_nothing_of_others(world):
    """A cursor is only a place: whoever uses another's sees what is his, no more."""
    world.hub.add_org('evil', 'eve')
    eve = world.hub.login('evil', 'eve')
    for p in lists(world).values():
        if 'station' in p.path or '/devices/' in p.path:
            continue
        for cursor in (1, 2, 5):
            mark = '&' if '?' in p.path else '?'
            a = world.hub.ask('GET', f'{p.path}{mark}{p.cursor}={cursor}', token=eve)
            assert a.status == 200 and world.device.id not in a.body.decode() and 'alice' not in a.body.decode()


def test_bounded_whatever_is_there_and_the_command_follows(world, tmp_path):
    """More than one answer may hold: 500 come, the command line shows all."""
    hub, now = world.hub, int(time.time())
    db = sqlite3.connect(hub.data / 'hub.db', timeout=60)
    with db:
        (org, project, deployment), = db.execute('SELECT d.org_id, d.project_id, d.id FROM deployments d JOIN projects p ON p.id = d.project_id'
                                                 " JOIN orgs o ON o.id = d.org_id WHERE d.name = 'field' AND p.name = 'station' AND o.name = 'acme'")
        (user,), = db.execute('SELECT id FROM users WHERE org_id = ? AND name = ?', (org, 'alice'))
        for i in range(1001):
            db.execute('INSERT INTO projects (org_id, name, created_s) VALUES (?, ?, ?)', (org, f'many{i}', now))
            db.execute("INSERT INTO users (org_id, name, role, password, created_s) VALUES (?, ?, 'user', 'x', ?)", (org, f'many{i}', now))
            db.execute('INSERT INTO deployments (org_id, project_id, name, created_s) VALUES (?, ?, ?, ?)', (org, project, f'many{i}', now))
            db.execute("INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s, expires_s) VALUES (?, ?, ?, 'api', ?, ?, ?)",
                       (org, user, f'many{i}', os.urandom(32), now, now + 1000))
            db.execute('INSERT INTO enrolment_tokens (org_id, deployment_id, name, hash, created_s, expires_s, uses_max) VALUES (?, ?, ?, ?, ?, ?, 1)',
                       (org, deployment, f'many{i}', os.urandom(32), now, now + 1000))
            db.execute('INSERT INTO releases (org_id, project_id, digest, version, file_digest, file_size, created_s, expires_s, created_by, compatible, graph)'
                       " VALUES (?, ?, ?, ?, ?, 1, ?, 0, 'x', '[]', '{}')", (org, project, f'{i:064x}', f'many{i}', f'{i:064x}', now))
    db.close()
    for p in (lists(world)[n] for n in ('users', 'tokens', 'projects', 'deployments', 'enrolment tokens', 'releases')):
        a = world.ask('GET', p.path)
        assert len(a.json[p.member]) == 500 and a.json['next'] > 0
    env = dict(os.environ, HOME=str(tmp_path), SKERRY_HUB=f'https://127.0.0.1:{hub.port}', SKERRY_TOKEN=world.alice)
    for argv in (('user', 'list'), ('token', 'list'), ('project', 'list'), ('deployment', 'list'), ('deployment', 'tokens', 'station/field'),
                 ('release', 'list', 'station')):
        r = subprocess.run([SKERRY, 'hub', *argv, '--ca', hub.data / 'ca.pem', '--json'], env=env, capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r.stderr
        rows = json.loads(r.stdout)
        names = [x.get('name', x.get('version')) for x in rows]
        assert {f'many{i}' for i in range(1001)} <= set(names) and len({json.dumps(x) for x in rows}) == len(rows)
    r = subprocess.run([SKERRY, 'hub', 'release', 'show', 'station/many0', '--ca', hub.data / 'ca.pem', '--json'], env=env, capture_output=True,
                       text=True, timeout=120)
    assert r.returncode == 0 and json.loads(r.stdout)['version'] == 'many0', 'the oldest of them is found by its name'
