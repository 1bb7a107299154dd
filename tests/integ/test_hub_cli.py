# SPDX-License-Identifier: Apache-2.0
"""`skerry hub` against a real hub: what a person types."""
import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

import hubtest
from hubtest import SKERRY, Device, Release, Signer


class Desk:
    """A person at a desk: commands with a home of their own."""

    def __init__(self, folder, hub):
        self.home, self.hub = folder, hub
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('SKERRY_')}
        self.env.update(HOME=str(folder), XDG_CONFIG_HOME=str(folder / 'config'))

    def run(self, *argv, env=None):
        return subprocess.run([SKERRY, 'hub', *[str(a) for a in argv]], env=dict(self.env, **(env or {})), text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120, start_new_session=True)

    def ok(self, *argv, **kw):
        r = self.run(*argv, **kw)
        assert r.returncode == 0, (argv, r.returncode, r.stderr, r.stdout)
        return r.stdout

    def json(self, *argv, **kw):
        return json.loads(self.ok(*argv, '--json', **kw))


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.Hub(folder)
    hub.add_org('acme', 'alice')
    with hub:
        d = Desk(folder, hub)
        d.url = f'https://127.0.0.1:{hub.port}'
        d.ok('login', d.url, '--org', 'acme', '--user', 'alice', '--ca', hub.data / 'ca.pem', '--password-file', hub.password_file)
        d.ok('project', 'create', 'station')
        d.ok('deployment', 'create', 'station/field')
        d.signer = Signer(folder / 'signer')
        yield d


def release(desk, version, **images):
    r = Release(desk.signer, 'station', version, images)
    folder = desk.home / 'images'
    folder.mkdir(exist_ok=True)
    for name, data in images.items():
        (folder / f'{name}.itb').write_bytes(data)
    path = desk.home / f'{version}.skr'
    path.write_bytes(r.skr)
    return r, path


def test_credentials_are_private(desk):
    path = desk.home / 'config/skerry/hub.json'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    r = desk.run('org', 'show', env={'SKERRY_HUB': 'https://127.0.0.1:1'})
    assert r.returncode == 4 and 'no credentials' in r.stderr, 'the token goes to its own hub only'
    r = desk.run('login', desk.url, '--org', 'acme', '--user', 'alice', '--ca', desk.hub.data / 'ca.pem', env={'SKERRY_PASSWORD': 'no'})
    assert r.returncode == 4 and 'wrong organisation, user or password' in r.stderr
    r = desk.run('login', desk.url, '--org', 'acme', '--user', 'alice', '--password-file', desk.hub.password_file)
    assert r.returncode != 0, 'an authority that nobody named is not believed'
    r = desk.run('login', 'http://127.0.0.1:1', '--org', 'acme', '--user', 'alice')
    assert r.returncode == 2


def test_upload_sends_only_what_is_missing(desk):
    one, path = release(desk, '1.0.0', web=os.urandom(200000), db=os.urandom(1000))
    a = desk.json('release', 'upload', path, '--images', desk.home / 'images')
    assert a['images_sent'] == 2 and a['bytes_sent'] == 201000
    db = (desk.home / 'images/db.itb').read_bytes()
    two, path = release(desk, '2.0.0', web=os.urandom(100000), db=db)
    out = desk.ok('release', 'upload', path, '--images', desk.home / 'images')
    assert 'sent 1 images' in out and '1 were there' in out
    assert [r['version'] for r in desk.json('release', 'list', 'station')] == ['2.0.0', '1.0.0']
    assert desk.json('release', 'upload', path, '--images', desk.home / 'images')['images_sent'] == 0
    three, path = release(desk, '3.0.0', web=os.urandom(100), db=db)
    (desk.home / 'images/web.itb').write_bytes(b'x' * 100)
    r = desk.run('release', 'upload', path, '--images', desk.home / 'images')
    assert r.returncode == 8 and 'not the file' in r.stderr
    (desk.home / 'images/web.itb').unlink()
    r = desk.run('release', 'upload', path, '--images', desk.home / 'images')
    assert r.returncode == 3 and 'web.itb' in r.stderr
    r = desk.run('deployment', 'attach', 'station/field', '3.0.0')
    assert r.returncode == 5 and 'lacks' in r.stderr
    assert 'web.itb' in desk.ok('release', 'show', 'station/3.0.0')
    assert 'web' in desk.ok('release', 'graph', 'station/2.0.0')
    desk.ok('release', 'delete', 'station/3.0.0')


def test_upload_resumes(desk):
    """The hub dies in the middle; the same command goes on when it is back."""
    data = os.urandom(30 << 20)
    big, path = release(desk, '9.0.0', big=data)
    got = []
    t = threading.Thread(target=lambda: got.append(desk.run('release', 'upload', path, '--images', desk.home / 'images', '--json')))
    t.start()
    deadline = time.monotonic() + 30
    while not list((desk.hub.data / 'images').glob('*/*.part')) and time.monotonic() < deadline and t.is_alive():
        time.sleep(0.005)
    desk.hub.kill()
    desk.hub.start()
    t.join(120)
    assert got[0].returncode == 0, got[0].stderr
    assert desk.json('release', 'show', 'station/9.0.0')['complete']
    desk.ok('release', 'delete', 'station/9.0.0')


def test_roll_out_from_the_desk(desk):
    token = desk.ok('deployment', 'token', 'station/field', '--uses', '5').strip()
    devices = [hubtest.joined_device(desk.hub, desk.home, f'dev{i}', token) for i in range(2)]

    def act(device, end, **more):
        job = device.work(wait=30)['id']
        for step in ('received', 'downloading', end):
            device.report(job, step, bytes_done=10, bytes_total=10, **(more if step == end else {}))

    threads = [threading.Thread(target=act, args=(devices[0], 'done')),
               threading.Thread(target=act, args=(devices[1], 'failed'), kwargs={'reason': 'web: exit \x1b[31m 1'})]
    for t in threads:
        t.start()
    r = desk.run('deployment', 'attach', 'station/field', 'station/1.0.0', '--wait')
    for t in threads:
        t.join()
    assert r.returncode == 1 and 'dev0: done' in r.stdout and 'dev1: failed: web: exit' in r.stdout
    assert '\x1b' not in r.stdout, 'what devices write does not reach the terminal'
    jobs = desk.json('job', 'list')
    assert {(j['device_name'], j['step']) for j in jobs} == {('dev0', 'done'), ('dev1', 'failed')}
    assert 'done 1' in desk.ok('deployment', 'show', 'station/field') and 'failed 1' in desk.ok('deployment', 'show', 'station/field')
    assert desk.json('device', 'show', 'dev0')['version'] == '1.0.0'
    assert desk.json('device', 'show', devices[0].id[:10])['name'] == 'dev0'
    shown = desk.ok('job', 'show', jobs[0]['id'])
    assert 'downloading' in shown and '\x1b' not in shown
    again = threading.Thread(target=act, args=(devices[1], 'done'))
    again.start()
    out = desk.ok('device', 'upgrade', 'dev1', '1.0.0', '--wait')
    again.join()
    assert 'dev1: done' in out


def test_devices_by_hand(desk):
    d = Device(desk.hub, desk.home, 'hand')
    assert d.enrol().status == 202, 'one organisation: no name is needed'
    assert [x['name'] for x in desk.json('device', 'list', '--status', 'pending')] == ['hand']
    desk.ok('device', 'accept', 'hand', 'station/field')
    desk.ok('device', 'rename', 'hand', 'foot')
    assert d.session().status == 200
    assert 'foot' in desk.ok('device', 'list', '--deployment', 'station/field')
    desk.ok('deployment', 'create', 'station/lab')
    desk.ok('device', 'move', 'foot', 'station/lab')
    assert d.ask('PUT', '/inventory', {'kernel': '6.1'}).status == 204
    assert json.loads(desk.ok('device', 'inventory', 'foot'))['inventory']['kernel'] == '6.1'
    assert d.ask('POST', '/logs', {'capsule': 'web', 'text': 'hello\x1b[2J\n'}).status == 204
    assert desk.ok('logs', 'foot') == 'hello [2J\n'
    desk.ok('device', 'block', 'foot')
    assert d.session().status == 403
    desk.ok('device', 'delete', 'foot')
    r = desk.run('device', 'show', 'foot')
    assert r.returncode == 3 and 'no device' in r.stderr
    desk.ok('deployment', 'delete', 'station/lab')


def test_no_device_commands_a_terminal(desk):
    """Escape sequences also in their one-character form, and letters that turn the direction of text."""
    d = Device(desk.hub, desk.home, 'loud')
    assert d.enrol().status == 202
    desk.ok('device', 'accept', 'loud', 'station/field')
    assert d.session().status == 200
    evil = '\x1b[2J\u009b2J\u202etxt\x7f'
    assert d.ask('POST', '/logs', {'capsule': 'web', 'text': evil + '\n'}).status == 204
    assert d.ask('PUT', '/inventory', {'kernel': evil}).status == 204
    bad = set('\x1b\u009b\u202e\x7f')
    assert not bad & set(desk.ok('logs', 'loud')) and desk.ok('logs', 'loud').endswith('\n')
    job = desk.json('device', 'upgrade', 'loud', '1.0.0')['id']
    d.report(job, 'failed', reason=evil)
    for argv in (('job', 'show', job), ('job', 'list'), ('device', 'show', 'loud'), ('device', 'list')):
        assert not bad & set(desk.ok(*argv)), argv
    assert json.loads(desk.ok('device', 'inventory', 'loud'))['inventory']['kernel'] == evil, 'programs get it as it is'
    import pty
    main, side = pty.openpty()
    r = subprocess.Popen([SKERRY, 'hub', 'device', 'inventory', 'loud'], env=desk.env, stdin=subprocess.DEVNULL, stdout=side, stderr=side)
    os.close(side)
    shown = b''
    while True:
        try:
            chunk = os.read(main, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(main)
    assert r.wait(60) == 0 and b'kernel' in shown
    assert not {'\x1b', '\u009b', '\u202e'} & set(shown.decode())
    desk.ok('device', 'delete', 'loud')


def test_people_and_programs(desk):
    out = desk.json('user', 'create', 'bob')
    assert len(out['password']) == 20
    token = desk.ok('token', 'create', 'ci', '--expires', '1h').strip()
    env = {'SKERRY_TOKEN': token, 'SKERRY_HUB': desk.url, 'XDG_CONFIG_HOME': '/nonexistent'}
    ca = ('--ca', desk.hub.data / 'ca.pem')
    assert desk.json('project', 'list', *ca, env=env)[0]['name'] == 'station'
    desk.ok('token', 'revoke', [t['id'] for t in desk.json('token', 'list') if t['name'] == 'ci'][0])
    assert desk.run('project', 'list', *ca, env=env).returncode == 4
    desk.ok('user', 'role', 'bob', 'owner')
    desk.ok('user', 'delete', 'bob')
    assert 'user.delete' in desk.ok('audit', '-n', '5')
    assert 'acme' in desk.ok('org', 'show')
    for argv in (('deployment', 'show', 'x'), ('device', 'show'), ('org', 'nonsense'), ('release', 'list')):
        assert desk.run(*argv).returncode == 2, argv


def test_the_audit_log_beyond_one_page(desk):
    with contextlib.closing(sqlite3.connect(desk.hub.data / 'hub.db', timeout=60)) as db, db:
        (org,), = db.execute("SELECT id FROM orgs WHERE name = 'acme'")
        db.executemany("INSERT INTO audit (org_id, at_s, actor, action, outcome) VALUES (?, 1, 'a', 'old', 'ok')", [(org,)] * 1100)
    ids = [e['id'] for e in desk.json('audit', '--limit', '1050')]
    assert len(ids) == 1050 and ids == sorted(set(ids), reverse=True)
    assert [e['id'] for e in desk.json('audit', '-n', '500')] == ids[:500]
    assert [e['id'] for e in desk.json('audit', '-n', '1')] == ids[:1]
    assert len(desk.json('audit')) == 50
    assert len(desk.ok('audit', '-n', '700').splitlines()) == 701
    for bad in ('0', '-1', 'x', '100001'):
        assert desk.run('audit', f'--limit={bad}').returncode == 2


def test_logout(desk):
    desk.ok('logout')
    assert not (desk.home / 'config/skerry/hub.json').exists()
    assert desk.run('project', 'list').returncode == 4
