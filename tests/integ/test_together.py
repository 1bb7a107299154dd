# SPDX-License-Identifier: Apache-2.0
"""Two who want something of one device at the same time: releases, the Docker API, uploads and checks."""
import concurrent.futures
import hashlib
import json
import os
import threading

import pytest

from docker_world import docker_archive
from fleet import Failed, wait_for
from test_update import STEADY, Unix, desk  # noqa: F401

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

BOTH = {'alpha': '', 'beta': ''}


def docker(desk, method, path, body=None):
    c = Unix(desk.devices[0].sock)
    data = json.dumps(body) if isinstance(body, dict) else body
    c.request(method, path, data, {'Content-Type': 'application/json'})
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    return r.status, text


def image_of(desk, name):
    return hashlib.sha256((desk.images / f'{name}.itb').read_bytes()).hexdigest()


def run(desk, name, image):
    """docker run -d --name"""
    status, text = docker(desk, 'POST', f'/containers/create?name={name}',
                          {'Image': image, 'HostConfig': {'NetworkMode': 'none'}})
    if status != 201:
        return status, text
    return docker(desk, 'POST', f'/containers/{name}/start')


def idle(desk):
    wait_for('the end of an update', lambda: desk.call('GET', '/update')[1]['step'] in ('idle', 'good', 'bad'))


def test_a_release_and_a_user_want_the_same_name(desk):  # noqa: F811
    desk.apply(desk.release('1.0', {'beta': ''}))
    before = desk.running()
    assert run(desk, 'alpha', image_of(desk, 'beta'))[0] == 204
    user = desk.capsules()['alpha']['id']
    # The user was first: the release does not take the name away, and says whose it is.
    with pytest.raises(Failed) as e:
        desk.apply(desk.release('2.0', BOTH))
    assert 'docker rm -f alpha' in e.value.text and 'was undone' in e.value.text
    assert desk.running() == dict(before, alpha=user)
    assert docker(desk, 'DELETE', '/containers/alpha?force=1')[0] == 204
    assert desk.apply(desk.release('2.1', BOTH))['step'] == 'good'
    # Now the release is.
    status, text = run(desk, 'alpha', image_of(desk, 'beta'))
    assert status == 409 and 'alpha' in text
    assert set(desk.running()) == set(BOTH)


def test_both_at_the_same_moment(desk):  # noqa: F811
    """Whoever is first has it, and the device knows what it is in."""
    desk.apply(desk.release('1.0', {'beta': ''}))
    over = threading.Event()

    def come_and_go():
        while not over.is_set():
            run(desk, 'alpha', image_of(desk, 'beta'))
            docker(desk, 'DELETE', '/containers/alpha?force=1')

    user = threading.Thread(target=come_and_go)
    user.start()
    try:
        for n in range(2, 5):
            try:
                step = desk.apply(desk.release(f'{n}.0', {'beta': '', 'alpha': f'environment {{ N = "{n}"; }};'}))['step']
            except Failed as e:
                assert 'alpha' in e.text
                step = 'bad'
            idle(desk)
            now = desk.call('GET', '/status')[1]
            assert (now['generation']['version'] == f'{n}.0') == (step == 'good'), now
    finally:
        over.set()
        user.join()
    docker(desk, 'DELETE', '/containers/alpha?force=1')
    status = desk.call('GET', '/status')[1]
    want = {'beta'} | ({'alpha'} if status['generation']['version'] != '1.0' else set())
    wait_for('what the generation wants', lambda: set(desk.running()) == want)
    # And it can go on from there.
    assert desk.apply(desk.release('9.0', BOTH))['step'] == 'good'
    assert set(desk.running()) == set(BOTH)


def test_images_are_loaded_while_releases_come_and_go(desk):  # noqa: F811
    docker_archive(desk.dir / 'a.tar', 'side:1', big=os.urandom(2 << 20))
    data = (desk.dir / 'a.tar').read_bytes()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(docker, desk, 'POST', '/images/load', data) for _ in range(4)]
        for n in range(1, 4):
            desk.capsule('alpha', STEADY, salt=str(n))
            assert desk.apply(desk.release(f'{n}.0', BOTH))['step'] == 'good'
        for load in loads:
            status, text = load.result()
            assert status == 200 and 'Loaded image: side:1' in text, text
    names = [t for i in json.loads(docker(desk, 'GET', '/images/json')[1]) for t in i['RepoTags']]
    assert names == ['side:1']
    assert desk.call('POST', '/store/verify')[1]['damaged'] == []


def test_the_store_is_checked_while_an_image_arrives(desk):  # noqa: F811
    desk.apply(desk.release('1.0', {'beta': ''}))
    desk.capsule('alpha', STEADY, salt=os.urandom(1 << 20).hex())
    assert desk.call('POST', '/releases', desk.release('2.0', BOTH).read_bytes())[0] == 200
    image = (desk.images / 'alpha.itb').read_bytes()
    path = '/images/' + image_of(desk, 'alpha')
    half = len(image) // 2
    assert desk.call('PUT', path, image[:half])[1] == {'offset': half, 'complete': False}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        checks = [pool.submit(desk.call, 'POST', '/store/verify') for _ in range(3)]
        assert desk.call('PUT', f'{path}?offset={half}', image[half:])[1] == {'offset': len(image), 'complete': True}
        answers = [c.result() for c in checks]
    # One at a time; who comes second is told so.
    assert {status for status, _ in answers} <= {200, 409} and 200 in {status for status, _ in answers}
    assert all(a['damaged'] == [] for status, a in answers if status == 200)
    report = desk.call('POST', '/store/verify')[1]
    assert (report['checked'], report['damaged']) == (2, [])
