# SPDX-License-Identifier: Apache-2.0
"""Who loses the right loses the transfer that is under way, and nobody else does."""
import contextlib
import json
import os
import socket

import pytest

import hubtest
from hubtest import Release, Signer

SIZE = 48 << 20  # far more than lies between the two ends: socket buffers, TLS, the hub's block


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub')
    hub = hubtest.CheckedHub(folder)
    hub.add_org('acme', 'alice')
    with hub:
        w = type('World', (), {})()
        w.hub, w.folder, w.alice = hub, folder, hubtest.make_world(hub, 'acme', 'alice')
        w.data = os.urandom(SIZE)
        w.signer = Signer(folder / 'signer')
        w.release = Release(w.signer, 'station', '1.0.0', {'big': w.data})
        w.digest = next(iter(w.release.images))
        hubtest.upload(hub, w.alice, 'station', w.release)
        w.enrolment = hubtest.enrolment_token(hub, w.alice)
        a = hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': w.release.id}, token=w.alice)
        assert a.status == 200
        yield w


def download(w, token):
    """A download that has begun; a function that reads on to its end and gives how much came."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.settimeout(120)
    raw.connect(('127.0.0.1', w.hub.port))
    s = w.hub.tls.wrap_socket(raw, server_hostname='127.0.0.1', suppress_ragged_eofs=True)
    s.sendall(f'GET /device/v1/images/{w.digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n'.encode())
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        head += s.recv(1)
    assert b' 200 ' in head and f'Content-Length: {SIZE}'.encode() in head, head
    got = bytearray(s.recv(1000))

    def rest():
        try:
            while piece := s.recv(1 << 20):
                got.extend(piece)
        except OSError:
            pass
        s.close()
        assert w.data.startswith(got)
        return len(got)
    return rest


@pytest.mark.parametrize('how', ['block', 'delete'])
def test_a_device_that_is_shut_out(world, how):
    hub = world.hub
    device, other = (hubtest.joined_device(hub, world.folder, f'{how}{i}', world.enrolment) for i in range(2))
    rest, others = download(world, device.token), download(world, other.token)
    path = f'/api/v1/devices/{device.id}'
    a = hub.ask('DELETE', path, token=world.alice) if how == 'delete' else hub.ask('POST', path + '/block', token=world.alice)
    assert a.status in (200, 204)
    assert rest() < SIZE, 'cut'
    assert others() == SIZE, 'not the others'


def test_a_deleted_device_whose_row_is_anothers(world):
    """The next device gets the row's number; the download was not for that one."""
    hub = world.hub
    device = hubtest.joined_device(hub, world.folder, 'ghost', world.enrolment)
    rest = download(world, device.token)
    assert hub.ask('DELETE', f'/api/v1/devices/{device.id}', token=world.alice).status == 204
    hubtest.joined_device(hub, world.folder, 'heir', world.enrolment)
    assert rest() < SIZE


def test_a_new_session_does_not_cut(world):
    """A device whose session ends as it downloads gets a new one beside it, and goes on."""
    hub = world.hub
    device = hubtest.joined_device(hub, world.folder, 'renews', world.enrolment)
    rest = download(world, device.token)
    assert device.session().status == 200
    # Somebody else's rights end too: now the hub looks.
    other = hubtest.joined_device(hub, world.folder, 'bad', world.enrolment)
    assert hub.ask('POST', f'/api/v1/devices/{other.id}/block', token=world.alice).status == 200
    assert rest() == SIZE


def upload(w, token, version):
    release = Release(w.signer, 'station', version, {'more': os.urandom(1 << 20)})
    digest, data = next(iter(release.images.items()))
    assert w.hub.ask('POST', '/api/v1/projects/station/releases', raw=release.skr, token=w.alice).status == 201
    raw = socket.create_connection(('127.0.0.1', w.hub.port), timeout=60)
    s = w.hub.tls.wrap_socket(raw, server_hostname='127.0.0.1')
    s.sendall(f'PUT /api/v1/images/{digest}?offset=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n'
              f'Content-Length: {len(data)}\r\n\r\n'.encode() + data[:300000])
    offset = lambda: w.hub.ask('GET', f'/api/v1/images/{digest}', token=w.alice).json['offset']
    hubtest.wait_for(lambda: offset() == 300000, seconds=60)
    return s, data, offset, release


@pytest.mark.parametrize('how', ['token revoked', 'logged out', 'user deleted', 'role taken', 'password reset'])
def test_an_upload_ends_with_the_right_to_it(world, how):
    hub, user = world.hub, how.replace(' ', '-')
    a = hub.ask('POST', '/api/v1/users', {'name': user, 'role': 'owner', 'password': hubtest.PASSWORD}, token=world.alice)
    assert a.status == 201
    token = hub.login('acme', user)
    made = hub.ask('POST', '/api/v1/tokens', {'name': 'ci'}, token=token).json
    if how == 'token revoked':
        token = made['token']
    s, data, offset, release = upload(world, token, f'2.{len(user)}.{ord(user[0])}')
    act = {'token revoked': lambda: hub.ask('DELETE', f'/api/v1/tokens/{made["id"]}', token=world.alice),
           'logged out': lambda: hub.ask('POST', '/api/v1/logout', token=token),
           'user deleted': lambda: hub.ask('DELETE', f'/api/v1/users/{user}', token=world.alice),
           'role taken': lambda: hub.ask('PATCH', f'/api/v1/users/{user}', {'role': 'user'}, token=world.alice),
           'password reset': lambda: hub.ask('PATCH', f'/api/v1/users/{user}', {'reset_password': True}, token=world.alice)}[how]
    assert act().status in (200, 204)
    # One more piece, not all of it: the answer comes without the rest.
    s.sendall(data[300000:300100])
    answer = b''
    with contextlib.suppress(ConnectionError):
        while piece := s.recv(4096):
            answer += piece
    assert b' 401 ' in answer.split(b'\r\n')[0] and b'taken away' in answer, answer
    s.close()
    assert offset() == 300000, 'what came before stays for who goes on'
    put = hub.ask('PUT', f'/api/v1/images/{next(iter(release.images))}?offset=300000', raw=data[300000:], token=world.alice)
    assert put.status == 200 and put.json['complete'], 'and it is free'


def test_an_upload_goes_on_when_others_lose_theirs(world):
    hub = world.hub
    s, data, _, _ = upload(world, world.alice, '3.0.0')
    made = hub.ask('POST', '/api/v1/tokens', {'name': 'other'}, token=world.alice).json
    assert hub.ask('DELETE', f'/api/v1/tokens/{made["id"]}', token=world.alice).status == 204
    s.sendall(data[300000:])
    answer = b''
    while b'}' not in answer:
        answer += s.recv(4096)
    assert json.loads(answer[answer.index(b'{'):])['complete']
    s.close()
