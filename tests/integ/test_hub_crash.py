# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment: what the hub acknowledged is there, nothing is half there."""
import http.client
import os
import random
import sqlite3
import threading
import time

import hubtest
from hubtest import Release, Signer
from repetition import times

KILLS = times(20, 60)
ERRORS = (OSError, http.client.HTTPException)


class Client(threading.Thread):
    """Works until told to stop; remembers what was acknowledged."""

    def __init__(self, name, step):
        super().__init__(name=name)
        self.step, self.stop, self.acknowledged, self.failure = step, False, [], None

    def run(self):
        while not self.stop:
            try:
                self.acknowledged += self.step() or []
            except ERRORS:
                time.sleep(0.02)
            except Exception as e:  # noqa: BLE001 - shown by the test
                self.failure = e
                return


def uploader(hub, token, signer, rng):
    count = [0]

    def step():
        count[0] += 1
        # One image shared by all, one new; big enough to be cut in the middle.
        release = Release(signer, 'station', f'1.{count[0]}.0', {'shared': b'shared' * 1000, 'new': rng.randbytes(400000)})
        while True:
            try:
                a = hub.ask('POST', '/api/v1/projects/station/releases', raw=release.skr, token=token)
                assert a.status in (200, 201), a
                missing = [i for i in a.json['images'] if not i['have']]
                for image in missing:
                    data = release.images[image['digest']]
                    a = hub.ask('PUT', f'/api/v1/images/{image["digest"]}?offset={image["offset"]}', token=token,
                                raw=data[image['offset']:])
                    # Another connection may still hold what the kill cut off.
                    assert a.status in (200, 409), a
                    if a.status == 409:
                        time.sleep(0.05)
                if not missing:
                    return [('release', release)]
            except ERRORS:
                time.sleep(0.02)

    return step


def attacher(hub, token, done):
    def step():
        if not done.acknowledged:
            time.sleep(0.02)
            return []
        release = done.acknowledged[-1][1]
        a = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': release.id, 'again': True}, token=token)
        assert a.status == 200, a
        return [('attach', a.json['rollout'])]

    return step


def reporter(hub, device):
    steps, reported = ('received', 'downloading', 'done'), {}

    # One report each time: between two kills there may not be enough time for more.
    def step():
        a = device.ask('GET', '/work?wait=1')
        assert a.status in (200, 204), a
        if a.status == 204:
            return []
        job = a.json['job']['id']
        what = steps[reported.get(job, 0)]
        a = device.ask('POST', f'/jobs/{job}/report', {'step': what})
        assert a.status == 204, a
        reported[job] = min(reported.get(job, 0) + 1, len(steps) - 1)
        return [(what, job)]

    return step


def check(hub, clients, token):
    """Against the database file and the folder, while the hub is dead; then by the hub itself."""
    db = sqlite3.connect(f'file:{hub.data}/hub.db', uri=True)
    assert db.execute('PRAGMA integrity_check').fetchone()[0] == 'ok'
    assert db.execute('PRAGMA foreign_key_check').fetchall() == []
    for kind, thing in [x for c in clients for x in c.acknowledged]:
        if kind == 'release':
            row = db.execute('SELECT id FROM releases WHERE digest = ?', (thing.id,)).fetchone()
            assert row, thing.version
            n = db.execute('SELECT count(*) FROM release_images ri JOIN images i ON i.id = ri.image_id'
                           ' WHERE ri.release_id = ? AND i.complete', row).fetchone()[0]
            assert n == 2, thing.version
            for digest, data in thing.images.items():
                assert next((hub.data / 'images').glob(f'*/{digest}')).read_bytes() == data
        elif kind == 'attach':
            assert db.execute('SELECT rollout FROM deployments').fetchone()[0] >= thing
        elif kind == 'done':
            assert db.execute('SELECT state FROM jobs WHERE uid = ?', (thing,)).fetchone()[0] == 'done'
    for org, digest in db.execute('SELECT org_id, digest FROM images WHERE complete'):
        assert (hub.data / 'images' / str(org) / digest).exists(), 'listed but not there'
    db.close()


def test_kill_during_uploads_and_attaches(tmp_path):
    rng = random.Random(os.environ.get('SKERRY_SEED', '20261122'))
    hub = hubtest.Hub(tmp_path)
    hub.add_org('acme', 'alice')
    with hub:
        token = hubtest.make_world(hub, 'acme', 'alice')
        signer = Signer(tmp_path / 'signer')
        device = hubtest.joined_device(hub, tmp_path, 'dev', hubtest.enrolment_token(hub, token))
        up = Client('upload', uploader(hub, token, signer, rng))
        clients = [up, Client('attach', attacher(hub, token, up)), Client('report', reporter(hub, device))]
        for c in clients:
            c.start()
        try:
            kills = 0

            def all_got_on():
                return all(c.acknowledged for c in clients) and any(what == 'done' for what, _ in clients[-1].acknowledged)
            # On a slow machine some time passes until each of them has got anything done between two.
            while kills < KILLS or not all_got_on() and kills < 20 * KILLS:
                kills += 1
                time.sleep(rng.uniform(0.02, 0.35))
                hub.kill()
                check(hub, clients, token)
                hub.start()
                assert not any(c.failure for c in clients), [c.failure for c in clients]
        finally:
            for c in clients:
                c.stop = True
            for c in clients:
                c.join(60)
        assert not any(c.failure for c in clients), [c.failure for c in clients]
        assert all(c.acknowledged for c in clients), [(c.name, len(c.acknowledged)) for c in clients]
        hub.stop()
        check(hub, clients, token)


def test_files_without_rows_go_and_rows_without_files_are_asked_for_again(tmp_path):
    hub = hubtest.Hub(tmp_path)
    hub.add_org('acme', 'alice')
    with hub:
        token = hubtest.make_world(hub, 'acme', 'alice')
        release = Release(Signer(tmp_path / 'signer'), 'station', '1.0.0', {'web': b'w' * 1000, 'db': b'd' * 1000})
        hubtest.upload(hub, token, 'station', release)
        hub.kill()
        folder = next((hub.data / 'images').iterdir())
        lost, kept = sorted(release.images)
        (folder / lost).unlink()
        (folder / ('0' * 64)).write_bytes(b'orphan')
        (folder / ('1' * 64 + '.part')).write_bytes(b'orphan')
        hub.start()
        assert sorted(p.name for p in folder.iterdir()) == [kept]
        a = hub.ask('GET', f'/api/v1/projects/station/releases/{release.id}', token=token).json
        assert not a['complete'] and [i['digest'] for i in a['images'] if not i['have']] == [lost]
        hubtest.upload(hub, token, 'station', release)
        assert hub.ask('GET', f'/api/v1/projects/station/releases/{release.id}', token=token).json['complete']


def test_a_lost_or_wrong_database_costs_no_image(tmp_path):
    """The hub says what is wrong and removes nothing; with the database back all is there."""
    hub = hubtest.Hub(tmp_path)
    hub.add_org('acme', 'alice')
    release = Release(Signer(tmp_path / 'signer'), 'station', '1.0.0', {'web': b'w' * 1000})
    with hub:
        token = hubtest.make_world(hub, 'acme', 'alice')
        hubtest.upload(hub, token, 'station', release)
    path = hub.data / 'hub.db'
    good = path.read_bytes()
    assert not (hub.data / 'hub.db-wal').exists()
    files = lambda: sorted(str(p) for d in ('images', 'releases') for p in (hub.data / d).rglob('*'))
    before = files()

    def newer(p):
        db = sqlite3.connect(p)
        with db:
            db.execute('INSERT INTO schema_version VALUES (99, 1)')
        db.close()

    def foreign(p):
        p.unlink()
        db = sqlite3.connect(p)
        with db:
            db.execute('CREATE TABLE users (x)')
        db.close()
    for spoil, says in ((lambda p: p.unlink(), 'no organisation'), (lambda p: p.write_bytes(b''), 'no organisation'),
                        (lambda p: p.write_bytes(good[:5000]), 'damaged'), (lambda p: p.write_bytes(os.urandom(len(good))), 'damaged'),
                        (newer, 'a newer skerry-hub made this database'), (foreign, 'not a database of skerry-hub')):
        for f in hub.data.glob('hub.db*'):
            f.unlink()
        path.write_bytes(good)
        spoil(path)
        r = hub.admin('serve', '--listen', '127.0.0.1:0')
        assert r.returncode != 0 and says in r.stderr and 'hub.db' in r.stderr, r
        assert files() == before
    for f in hub.data.glob('hub.db*'):
        f.unlink()
    path.write_bytes(good)
    with hub:
        assert hub.ask('GET', f'/api/v1/projects/station/releases/{release.id}', token=token).json['complete']


def test_one_hub_for_one_folder(tmp_path):
    hub = hubtest.Hub(tmp_path)
    hub.add_org('acme', 'alice')
    with hub:
        r = hub.admin('serve', '--listen', '127.0.0.1:0')
        assert r.returncode == 5 and 'another hub' in r.stderr
        assert hub.admin('org', 'add', 'more', '--owner', 'zed').returncode == 0, 'but administration goes on'
        r = hub.admin('backup', str(tmp_path / 'copy.db'))
        assert r.returncode == 0, r.stderr
        db = sqlite3.connect(tmp_path / 'copy.db')
        assert {x[0] for x in db.execute('SELECT name FROM orgs')} == {'acme', 'more'}


def test_kill_while_what_is_over_goes(tmp_path):
    """Killed again and again as it clears out: nothing half gone, what is needed stays, and in the end the rest is gone."""
    rng = random.Random(os.environ.get('SKERRY_SEED', '20261122'))
    hub, now = hubtest.Hub(tmp_path), int(time.time())
    hub.add_org('acme', 'alice')
    with hub:
        token = hubtest.make_world(hub, 'acme', 'alice')
        device = hubtest.joined_device(hub, tmp_path, 'dev', hubtest.enrolment_token(hub, token))
    db = sqlite3.connect(hub.data / 'hub.db')
    with db:
        (org, row), = db.execute('SELECT org_id, id FROM devices')
        for i in range(6000):
            db.execute("INSERT INTO audit (org_id, at_s, actor, action, outcome) VALUES (?, ?, 'a', 'old', 'ok')", (org, 1000 + i))
            db.execute("INSERT INTO jobs (org_id, device_id, kind, state, open, created_s, updated_s, created_by)"
                       " VALUES (?, ?, ?, 'done', 0, 1, ?, 'a')", (org, row, ('logs', 'release')[i % 2], 1000 + i))
            db.execute("INSERT INTO job_events (job_id, at_s, step, bytes_done, bytes_total) SELECT max(id), 1, 'done', 0, 0 FROM jobs")
        (young,), = db.execute('SELECT count(*) FROM audit WHERE at_s > ?', (now - 86400,))
    count = lambda sql: db.execute('SELECT count(*) FROM ' + sql).fetchone()[0]
    with hub:
        for _ in range(times(5, 12)):
            time.sleep(rng.uniform(0.3, 1.6))
            hub.kill()
            assert db.execute('PRAGMA integrity_check').fetchone()[0] == 'ok'
            assert db.execute('PRAGMA foreign_key_check').fetchall() == []
            assert count('jobs') == count('job_events'), 'a job goes with its history'
            assert count('(SELECT * FROM jobs WHERE kind = \'release\')') >= 8
            hub.start()
        hubtest.wait_for(lambda: count("audit WHERE action = 'old'") == 0, 'the end of the clearing out', 180)
        assert count('jobs') == 8 and count('job_events') == 8
        assert count('audit') >= young
        assert device.work() is None, 'its session goes on'
    db.close()
