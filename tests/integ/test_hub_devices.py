# SPDX-License-Identifier: Apache-2.0
"""What devices ask of the hub: proof of who they are, work that reaches them at once, honest reports."""
import os
import sqlite3
import threading
import time

import pytest

import hubtest
from hubtest import PASSWORD, Device, Release, Signer


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.CheckedHub(folder, 'pending-max=6', 'pending-per-ip-max=5')
    hub.add_org('acme', 'alice')
    hub.add_org('other', 'olga')
    with hub:
        w = type('World', (), {})()
        w.hub, w.folder = hub, folder
        w.alice = hubtest.make_world(hub, 'acme', 'alice')
        w.olga = hubtest.make_world(hub, 'other', 'olga')
        w.signer = Signer(folder / 'signer')
        w.releases = [Release(w.signer, 'station', f'{n}.0.0', {'web': os.urandom(5000), 'db': b'same'}) for n in (1, 2, 3)]
        for r in w.releases:
            hubtest.upload(hub, w.alice, 'station', r)
        w.enrolment = hubtest.enrolment_token(hub, w.alice)
        yield w


FIELD = '/api/v1/projects/station/deployments/field'


def attach(w, release, **more):
    a = w.hub.ask('POST', FIELD + '/attach', dict(release=release.id, **more), token=w.alice)
    assert a.status == 200, a
    return a.json


def joined(w, name):
    return hubtest.joined_device(w.hub, w.folder, name, w.enrolment)


def drain(device):
    """Ends whatever waits for a device, so that tests do not meet each other's jobs."""
    while job := device.work():
        device.report(job['id'], 'failed', reason='drained')


def test_enrolment_needs_the_key(world):
    d, thief = Device(world.hub, world.folder, 'a'), Device(world.hub, world.folder, 'thief')
    good = d.enrol_body(token=world.enrolment)
    ask = lambda body: world.hub.ask('POST', '/device/v1/enrol', body)
    assert ask(dict(good, signature=thief.sign('skerry-enrol', good['challenge']))).status == 401
    assert ask(dict(good, signature=d.sign('skerry-session', good['challenge']))).status == 401
    assert ask(dict(good, public_key=thief.public_key)).status == 401
    assert ask(dict(good, challenge='0' * 32 + '.ffffffffff.' + '0' * 32)).status == 401
    for key in ('public_key', 'challenge', 'signature'):
        for bad in ('', 'x', 'A' * 400, None, 7):
            assert ask(dict(good, **{key: bad})).status in (400, 401), (key, bad)
    assert ask(good).status == 200
    again = ask(good)
    assert again.status == 401, 'a challenge is good once'
    # A P-384 key, an RSA key: not what devices have.
    for argv in (('ecparam', '-name', 'secp384r1', '-genkey', '-noout'), ('genrsa', '2048')):
        import base64
        pem = hubtest.openssl(*argv)
        der = hubtest.openssl('pkey', '-pubout', '-outform', 'DER', data=pem)
        assert ask(dict(good, public_key=base64.b64encode(der).decode())).status == 400


def test_pending_then_accepted(world):
    d = Device(world.hub, world.folder, 'b')
    assert d.enrol().status == 403, 'two organisations: the hub must be told which'
    assert d.enrol(organisation='nobody').status == 403
    a = d.enrol(organisation='acme')
    assert a.status == 202 and a.json == {'device_id': d.id, 'status': 'pending'}
    assert d.session().status == 403
    place = {'project': 'station', 'deployment': 'field'}
    assert world.hub.ask('POST', f'/api/v1/devices/{d.id}/accept', place, token=world.olga).status == 404
    a = world.hub.ask('POST', f'/api/v1/devices/{d.id}/accept', place, token=world.alice)
    assert a.status == 200 and a.json['status'] == 'accepted'
    assert world.hub.ask('POST', f'/api/v1/devices/{d.id}/accept', place, token=world.alice).status == 409
    assert d.enrol(organisation='acme').status == 200
    assert d.session().status == 200
    # Accepted devices do not wander off.
    a = d.enrol(token=hubtest.enrolment_token(world.hub, world.olga))
    assert a.status == 200
    assert world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.olga).status == 404


def test_rejected_may_go_elsewhere(world):
    d = Device(world.hub, world.folder, 'c')
    assert d.enrol(organisation='acme').status == 202
    assert world.hub.ask('POST', f'/api/v1/devices/{d.id}/reject', token=world.alice).json['status'] == 'rejected'
    a = d.enrol(organisation='acme')
    assert a.status == 403 and a.json['status'] == 'rejected'
    assert d.enrol(token=world.enrolment).status == 403, 'what its organisation decided stands'
    assert d.enrol(organisation='other').status == 202
    assert world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.alice).status == 404
    assert world.hub.ask('DELETE', f'/api/v1/devices/{d.id}', token=world.olga).status == 204


def test_strangers_cannot_fill_the_waiting_room(world):
    devices = [Device(world.hub, world.folder, f'stranger{i}') for i in range(8)]
    status = [d.enrol(organisation='acme').status for d in devices]
    assert status.count(202) == 5 and set(status[5:]) == {429}
    assert Device(world.hub, world.folder, 'friend').enrol(token=world.enrolment).status == 200, 'a token passes by'
    for d in devices:
        world.hub.ask('DELETE', f'/api/v1/devices/{d.id}', token=world.alice)


def test_enrolment_tokens_end(world):
    once = hubtest.enrolment_token(world.hub, world.alice, uses_max=1)
    assert Device(world.hub, world.folder, 'u1').enrol(token=once).status == 200
    assert Device(world.hub, world.folder, 'u2').enrol(token=once).status == 403
    short = hubtest.enrolment_token(world.hub, world.alice, expires_in_s=1)
    time.sleep(2.1)
    assert Device(world.hub, world.folder, 'u3').enrol(token=short).status == 403
    gone = hubtest.enrolment_token(world.hub, world.alice)
    listed = world.hub.ask('GET', FIELD + '/enrolment-tokens', token=world.alice).json['enrolment_tokens']
    assert world.hub.ask('DELETE', f'{FIELD}/enrolment-tokens/{listed[-1]["id"]}', token=world.alice).status == 204
    assert Device(world.hub, world.folder, 'u4').enrol(token=gone).status == 403
    assert Device(world.hub, world.folder, 'u5').enrol(token='ske_' + '0' * 64).status == 403
    assert Device(world.hub, world.folder, 'u6').enrol(token=world.alice).status == 403


def test_sessions(world):
    d = joined(world, 'd')
    old = d.token
    body = d.session_body()
    assert world.hub.ask('POST', '/device/v1/session', body).status == 200
    assert d.ask('GET', '/work').status == 401, 'a new session ends the one before'
    assert world.hub.ask('POST', '/device/v1/session', body).status == 401, 'a replayed challenge is refused'
    assert d.session().status == 200
    assert world.hub.ask('GET', '/device/v1/work', token=old).status == 401
    thief = Device(world.hub, world.folder, 'thief2')
    body = dict(thief.session_body(), device_id=d.id)
    assert world.hub.ask('POST', '/device/v1/session', body).status == 401
    unknown = thief.session()
    assert unknown.status == 401 and unknown.json == world.hub.ask('POST', '/device/v1/session', body).json


def test_block_takes_effect_at_once(world):
    d = joined(world, 'e')
    drain(d)
    got = []
    t = threading.Thread(target=lambda: got.append((d.ask('GET', '/work?wait=60').status, time.monotonic())))
    t.start()
    time.sleep(0.5)
    start = time.monotonic()
    a = world.hub.ask('POST', f'/api/v1/devices/{d.id}/block', token=world.alice)
    assert a.json['status'] == 'blocked'
    t.join(20)
    assert got[0][0] == 401 and got[0][1] - start < 5
    assert d.ask('GET', '/work').status == 401
    assert d.session().status == 403
    assert d.enrol(token=world.enrolment).status == 403


def test_release_reaches_waiting_devices_at_once(world):
    devices = [joined(world, f'w{i}') for i in range(4)]
    away = joined(world, 'away')
    for d in devices + [away]:
        drain(d)
    other = hubtest.joined_device(world.hub, world.folder, 'olga1', hubtest.enrolment_token(world.hub, world.olga))
    got = {}
    poll = lambda d: got.__setitem__(d.name, d.work(wait=30))
    threads = [threading.Thread(target=poll, args=(d,)) for d in devices]
    quiet = threading.Thread(target=lambda: got.__setitem__('other', other.work(wait=3)))
    for t in threads + [quiet]:
        t.start()
    time.sleep(0.5)
    attach(world, world.releases[0], again=True)
    for t in threads + [quiet]:
        t.join(40)
    assert all(got[d.name] and got[d.name]['release'] == world.releases[0].id for d in devices), got
    assert got['other'] is None, 'exactly the right ones are woken'
    assert away.work()['release'] == world.releases[0].id, 'who was away gets it when it returns'
    shown = world.hub.ask('GET', FIELD, token=world.alice).json
    assert shown['progress']['waiting'] >= 5
    late = joined(world, 'late')
    assert late.work()['release'] == world.releases[0].id, 'who joins later gets it too'


def test_reports_in_any_order(world):
    d = joined(world, 'r')
    attach(world, world.releases[1], again=True)
    job = d.work()['id']
    show = lambda: world.hub.ask('GET', f'/api/v1/jobs/{job}', token=world.alice).json
    d.report(job, 'received')
    d.report(job, 'downloading', bytes_done=10, bytes_total=100)
    d.report(job, 'received')
    d.report(job, 'downloading', bytes_done=5, bytes_total=100)
    assert show()['step'] == 'downloading' and show()['bytes_done'] == 10
    assert d.work()['id'] == job, 'until it ends it is handed out again'
    assert d.work(wait=0) and d.ask('GET', f'/work?except={job}').status == 204
    d.report(job, 'settling')
    d.report(job, 'applying')
    d.report(job, 'done')
    d.report(job, 'failed', reason='late news')
    d.report(job, 'done')
    j = show()
    assert j['step'] == 'done' and [e['step'] for e in j['history']] == ['received', 'downloading', 'settling', 'done']
    assert world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.alice).json['version'] == '2.0.0'
    assert d.work() is None
    for step in ('waiting', 'aborted', 'x', '', 7):
        assert d.ask('POST', f'/jobs/{job}/report', {'step': step}).status == 400
    assert d.ask('POST', '/jobs/0000000000000000/report', {'step': 'done'}).status == 404
    assert d.ask('POST', f'/jobs/{job}/report', {'step': 'failed', 'reason': 'x' * 5000}).status == 400


def test_abort_and_supersede(world):
    d = joined(world, 's')
    drain(d)
    attach(world, world.releases[0], again=True)
    first = d.work()['id']
    attach(world, world.releases[2])
    second = d.work()
    assert second['id'] != first and second['release'] == world.releases[2].id
    step = lambda j: world.hub.ask('GET', f'/api/v1/jobs/{j}', token=world.alice).json['step']
    assert step(first) == 'aborted'
    a = world.hub.ask('POST', FIELD + '/abort', token=world.alice)
    assert a.status == 200 and a.json['release'] is None and d.work() is None
    assert step(second['id']) == 'aborted'
    assert d.ask('GET', f'/releases/{world.releases[2].id}').status == 404, 'taken back'
    d.report(second['id'], 'done')
    assert step(second['id']) == 'done', 'what the device says of its end is believed'


def test_the_reason_of_a_superseded_job_stays(world):
    """Its device goes on for a while, finds the files gone and says that it failed: that is not why the job ended."""
    d = joined(world, 'late')
    drain(d)
    attach(world, world.releases[0], again=True)
    job = d.work()['id']
    d.report(job, 'downloading', bytes_done=1, bytes_total=10)
    attach(world, world.releases[2])
    show = lambda: world.hub.ask('GET', f'/api/v1/jobs/{job}', token=world.alice).json
    assert show()['step'] == 'aborted' and 'a newer release took its place' in show()['reason']
    only_mine = next(i for i in world.releases[0].images if i not in world.releases[2].images)
    for path in (f'/releases/{world.releases[0].id}', f'/images/{only_mine}'):
        a = d.ask('GET', path)
        assert a.status == 404 and 'taken back: a newer release took its place' in a.json['message'], a
    never = d.ask('GET', f'/images/{"0" * 64}')
    assert never.status == 404 and 'taken back' not in never.json['message']
    for _ in range(5):
        d.report(job, 'failed', reason='there is no image')
    j = show()
    assert j['step'] == 'aborted' and j['reason'] == 'a newer release took its place', j
    said = [e for e in j['history'] if e['step'] == 'failed']
    assert [e['reason'] for e in said] == ['there is no image'], 'what it said is in the history, once'
    d.report(job, 'done')
    assert show()['step'] == 'done'


def test_there_and_back_while_the_device_is_on_its_way(world):
    """It runs 1, works on 2, and the deployment goes back to 1: it may come out at 2, so it gets 1 once more."""
    d = joined(world, 'wanderer')
    drain(d)
    attach(world, world.releases[0], again=True)
    d.report(d.work()['id'], 'done')
    assert d.work() is None
    attach(world, world.releases[1])
    second = d.work()['id']
    d.report(second, 'downloading')
    attach(world, world.releases[0])
    d.report(second, 'done')
    back = d.work()
    assert back and back['release'] == world.releases[0].id
    d.report(back['id'], 'done')
    assert world.hub.ask('GET', f'/api/v1/devices/{d.id}', token=world.alice).json['version'] == '1.0.0'
    attach(world, world.releases[0])
    assert d.work() is None, 'who is known to run it is left alone'


def test_moved_there_and_back_while_on_its_way(world):
    hub, move = world.hub, lambda name: {'project': 'station', 'deployment': name}
    assert hub.ask('POST', '/api/v1/projects/station/deployments', {'name': 'side'}, token=world.alice).status == 201
    d = joined(world, 'mover')
    drain(d)
    attach(world, world.releases[0], again=True)
    d.report(d.work()['id'], 'done')
    assert hub.ask('POST', '/api/v1/projects/station/deployments/side/attach', {'release': world.releases[1].id}, token=world.alice).status == 200
    assert hub.ask('POST', f'/api/v1/devices/{d.id}/move', move('side'), token=world.alice).status == 200
    d.report(d.work()['id'], 'applying')
    assert hub.ask('POST', f'/api/v1/devices/{d.id}/move', move('field'), token=world.alice).status == 200
    assert d.work()['release'] == world.releases[0].id
    drain(d)


def test_away_for_several_releases(world):
    """It gets the last one alone; the others are told to have been replaced."""
    d = joined(world, 'sleeper')
    drain(d)
    for r in world.releases:
        attach(world, r, again=True)
    job = d.work()
    assert job['release'] == world.releases[2].id
    d.report(job['id'], 'done')
    assert d.work() is None
    jobs = world.hub.ask('GET', f'/api/v1/devices/{d.id}/jobs', token=world.alice).json['jobs'][:3]
    assert [j['step'] for j in jobs] == ['done', 'aborted', 'aborted']
    assert world.hub.ask('POST', FIELD + '/abort', token=world.alice).status == 200


def test_deployment_and_device_removed_in_the_middle_of_a_job(world):
    hub, path = world.hub, '/api/v1/projects/station/deployments/short'
    assert hub.ask('POST', '/api/v1/projects/station/deployments', {'name': 'short'}, token=world.alice).status == 201
    d = joined(world, 'removed')
    drain(d)
    assert hub.ask('POST', f'/api/v1/devices/{d.id}/move', {'project': 'station', 'deployment': 'short'}, token=world.alice).status == 200
    assert hub.ask('POST', path + '/attach', {'release': world.releases[0].id}, token=world.alice).status == 200
    job = d.work()['id']
    assert hub.ask('DELETE', path, token=world.alice).status == 409, 'a device belongs to it'
    assert hub.ask('POST', f'/api/v1/devices/{d.id}/move', {'project': 'station', 'deployment': 'field'}, token=world.alice).status == 200
    assert hub.ask('DELETE', path, token=world.alice).status == 204
    d.report(job, 'done')
    assert hub.ask('GET', f'/api/v1/jobs/{job}', token=world.alice).json['deployment'] is None
    drain(d)
    assert hub.ask('DELETE', f'/api/v1/devices/{d.id}', token=world.alice).status == 204
    assert d.ask('POST', f'/jobs/{job}/report', {'step': 'done'}).status == 401
    assert hub.ask('GET', f'/api/v1/jobs/{job}', token=world.alice).status == 404
    assert d.session().status == 401 and d.enrol(organisation='acme').status == 202, 'it may ask anew'
    assert hub.ask('DELETE', f'/api/v1/devices/{d.id}', token=world.alice).status == 204


def test_upgrade_of_one_device(world):
    d, e = joined(world, 'one'), joined(world, 'two')
    drain(d), drain(e)
    path = f'/api/v1/devices/{d.id}/upgrade'
    assert world.hub.ask('POST', path, {'release': 'f' * 64}, token=world.alice).status == 404
    a = world.hub.ask('POST', path, {'release': world.releases[1].id}, token=world.alice)
    assert a.status == 202 and d.work()['id'] == a.json['id'] and e.work() is None
    b = world.hub.ask('POST', f'/api/v1/jobs/{a.json["id"]}/abort', token=world.alice)
    assert b.json['step'] == 'aborted' and d.work() is None
    assert world.hub.ask('POST', f'/api/v1/jobs/{a.json["id"]}/abort', token=world.alice).status == 409


def test_files_only_of_own_releases(world):
    d = joined(world, 'f')
    drain(d)
    world.hub.ask('POST', f'/api/v1/devices/{d.id}/upgrade', {'release': world.releases[0].id}, token=world.alice)
    mine, other = world.releases[0], world.releases[2]
    assert d.ask('GET', f'/releases/{mine.id}').body == mine.skr
    for digest, data in mine.images.items():
        assert d.ask('GET', f'/images/{digest}').body == data
        part = d.ask('GET', f'/images/{digest}', headers={'Range': 'bytes=2-'})
        assert part.status == 206 and part.body == data[2:]
    foreign = [x for x in other.images if x not in mine.images]
    assert foreign and d.ask('GET', f'/images/{foreign[0]}').status == 404
    for evil in ('..', '../hub.db', '..%2f..%2fhub.db', '%2e%2e/hub.db', 'x' * 64, 'F' * 64):
        assert hubtest.Hub.ask(world.hub, 'GET', f'/device/v1/images/{evil}', token=d.token).status in (400, 404)


def test_logs_and_inventory(world):
    d = joined(world, 'l')
    drain(d)
    path = f'/api/v1/devices/{d.id}'
    assert world.hub.ask('GET', path + '/inventory', token=world.alice).status == 404
    assert d.ask('PUT', '/inventory', {'kernel': '6.1', 'memory': {'total': 1}}).status == 204
    assert world.hub.ask('GET', path + '/inventory', token=world.alice).json['inventory']['kernel'] == '6.1'
    for bad in ([1], 'x', None):
        assert d.ask('PUT', '/inventory', bad).status in (204, 400)
    assert d.ask('PUT', '/inventory', {'x': 'y' * 300000}).status == 413
    job = world.hub.ask('POST', path + '/logs', {'capsule': 'web', 'tail': 5}, token=world.alice).json['id']
    assert d.work() == {'id': job, 'kind': 'logs', 'capsule': 'web', 'tail': 5}
    text = 'a\n\x1b[31mb\n\u00e9'
    assert d.ask('POST', '/logs', {'capsule': 'web', 'job': job, 'text': text}).status == 204
    assert d.work() is None
    logs = world.hub.ask('GET', f'{path}/logs?job={job}', token=world.alice).json['logs']
    assert [x['text'] for x in logs] == [text]
    for i in range(70):
        assert d.ask('POST', '/logs', {'capsule': 'web', 'text': str(i)}).status == 204
    logs, more = [], ''
    while more is not None:
        page = world.hub.ask('GET', f'{path}/logs?limit=8{more}', token=world.alice).json
        logs, more = logs + page['logs'], f'&before={page["next"]}' if 'next' in page else None
    assert [x['text'] for x in logs] == [str(i) for i in range(69, 5, -1)], 'the newest are kept'
    for _ in range(40):
        a = world.hub.ask('POST', path + '/inventory', token=world.alice)
    assert a.status == 429, 'jobs that wait for one device are bounded'


def test_move_brings_the_other_release(world):
    hub = world.hub
    assert hub.ask('POST', '/api/v1/projects/station/deployments', {'name': 'lab'}, token=world.alice).status == 201
    a = hub.ask('POST', '/api/v1/projects/station/deployments/lab/attach', {'release': world.releases[1].id}, token=world.alice)
    assert a.status == 200 and a.json['jobs'] == 0
    d = joined(world, 'm')
    drain(d)
    a = hub.ask('POST', f'/api/v1/devices/{d.id}/move', {'project': 'station', 'deployment': 'lab'}, token=world.alice)
    assert a.json['deployment'] == 'lab' and d.work()['release'] == world.releases[1].id
    assert hub.ask('POST', f'/api/v1/devices/{d.id}/move', {'project': 'x', 'deployment': 'lab'}, token=world.alice).status == 404


def test_two_owners_at_once(world):
    """Attach and upgrade from many sides: each device has one open job, the database is whole."""
    devices = [joined(world, f'c{i}') for i in range(3)]
    errors = []

    def hammer(n):
        for i in range(6):
            release = world.releases[(n + i) % 3]
            a = world.hub.ask('POST', FIELD + '/attach', {'release': release.id, 'again': True}, token=world.alice)
            b = world.hub.ask('POST', f'/api/v1/devices/{devices[n % 3].id}/upgrade', {'release': release.id}, token=world.alice)
            if a.status != 200 or b.status != 202:
                errors.append((a, b))

    threads = [threading.Thread(target=hammer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    db = sqlite3.connect(f'file:{world.hub.data}/hub.db?mode=ro', uri=True)
    assert db.execute('PRAGMA integrity_check').fetchone()[0] == 'ok'
    assert db.execute("SELECT max(n) FROM (SELECT count(*) n FROM jobs WHERE open AND kind='release' GROUP BY device_id)").fetchone()[0] == 1
    assert db.execute('PRAGMA foreign_key_check').fetchall() == []


def test_accept_at_once_by_two(world):
    d = Device(world.hub, world.folder, 'both')
    assert d.enrol(organisation='acme').status == 202
    got = []
    accept = lambda: got.append(world.hub.ask('POST', f'/api/v1/devices/{d.id}/accept',
                                              {'project': 'station', 'deployment': 'field'}, token=world.alice).status)
    threads = [threading.Thread(target=accept) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(got) == [200, 409, 409, 409, 409]


def test_polls_end_and_replace_each_other(world):
    d = joined(world, 'poll')
    drain(d)
    start = time.monotonic()
    assert d.work(wait=2) is None
    assert time.monotonic() - start >= 1
    got = []
    t = threading.Thread(target=lambda: got.append(d.work(wait=60)))
    t.start()
    # The first of these may come before it.
    for _ in range(20):
        assert d.work(wait=1) is None
        t.join(0.5)
        if got:
            break
    assert got == [None], 'a newer poll ends the one before'
    t.join()


def test_many_wait_and_leave(world):
    """Peers that go away while they wait leave nothing behind."""
    d = joined(world, 'leaver')
    drain(d)
    for _ in range(30):
        c = world.hub.connect()
        c.request('GET', '/device/v1/work?wait=60', headers={'Authorization': 'Bearer ' + d.token})
        c.sock.close() if c.sock else None
        c.close()
    assert d.work() is None
    attach(world, world.releases[0], again=True)
    assert d.work()


def test_passwords_are_not_guessed(world):
    """Last: it locks this address out."""
    login = lambda user, pw: world.hub.ask('POST', '/api/v1/login', {'organisation': 'acme', 'user': user, 'password': pw}).status
    assert [login('alice', f'wrong{i}-password') for i in range(7)] == [401] * 5 + [429] * 2
    assert login('alice', PASSWORD) == 429
    status = [login(f'user{i}', 'wrong-password') for i in range(40)]
    assert status.count(429) > 0 and set(status) == {401, 429}
    assert world.hub.ask('GET', '/api/v1/me', token=world.alice).status == 200, 'who is in stays in'
