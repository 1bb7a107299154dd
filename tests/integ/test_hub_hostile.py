# SPDX-License-Identifier: Apache-2.0
"""The hub among strangers who hold on to it, readers who do not read, and on a disk that is full."""
import contextlib
import os
import pathlib
import socket
import subprocess

import pytest

import hubtest
from hubtest import Release, Signer

PATIENCE_S = 240


def ended(s):
    """Has the hub given this connection up? Nothing is sent that could wake it."""
    s.setblocking(False)
    try:
        return not s.recv(4096)
    except (BlockingIOError, hubtest.ssl.SSLWantReadError):
        return False
    except OSError:
        return True


@pytest.fixture
def hub(tmp_path):
    hub = hubtest.Hub(tmp_path, 'connections-max=24', 'connections-per-ip=0')
    hub.add_org('acme', 'alice')
    with hub:
        hub.alice = hubtest.make_world(hub, 'acme', 'alice')
        yield hub


def stranger(hub, kind):
    """Holds a connection: says nothing, stops in its head, or stops in its body."""
    s = socket.create_connection(('127.0.0.1', hub.port), timeout=30)
    if kind == 'silent':
        return s
    s = hub.tls.wrap_socket(s, server_hostname='127.0.0.1')
    s.sendall(b'POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Le')
    if kind == 'body':
        s.sendall(b'ngth: 400\r\n\r\n{"organ')
    return s


def test_who_holds_on_is_let_go(hub):
    """Some do not disturb the others; so many that no room is left are let go, and then there is room again."""
    kinds = ('silent', 'head', 'body')
    few = [stranger(hub, kind) for kind in kinds for _ in range(4)]
    assert hub.ask('GET', '/api/v1/projects', token=hub.alice).status == 200
    many = []
    for i in range(24):
        with contextlib.suppress(OSError):
            many.append(stranger(hub, kinds[i % 3]))

    def answers():
        with contextlib.suppress(OSError, hubtest.http.client.HTTPException):
            return hub.ask('GET', '/api/v1/projects', token=hub.alice).status == 200
        return False
    hubtest.wait_for(answers, 'an answer to anybody', PATIENCE_S)
    hubtest.wait_for(lambda: all(ended(s) for s in few), 'the end of those who hold on', PATIENCE_S)
    for s in few + many:
        s.close()


@pytest.mark.parametrize('offer', ['-tls1', '-tls1_1', '-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA', '-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384',
                                   '-tls1_2 -cipher AES128-GCM-SHA256', '-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM8', '-tls1_2 -cipher aNULL',
                                   '-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256', '-tls1_3', '-tls1_2'])
def test_what_tls_is_spoken(hub, offer):
    """Old versions, and ciphers without forward secrecy or authenticated encryption, are refused; the security level
    of OpenSSL is lowered so that it is the hub that refuses."""
    words = offer.split()
    if '-cipher' in words:
        words[-1] += ':@SECLEVEL=0'
    else:
        words += ['-cipher', 'ALL:@SECLEVEL=0']
    r = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{hub.port}', '-CAfile', hub.data / 'ca.pem', '-verify_return_error', *words],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    good = offer in ('-tls1_3', '-tls1_2', '-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256')
    assert ('Verify return code: 0 (ok)' in r.stdout and 'Cipher is (NONE)' not in r.stdout) == good, (offer, r.stdout[-2000:], r.stderr[-500:])
    if not good:
        assert 'no protocols available' not in r.stderr or offer in ('-tls1', '-tls1_1')
        assert 'alert' in r.stderr or 'no protocols' in r.stderr or 'Cipher is (NONE)' in r.stdout, r.stderr


def memory(hub):
    status = pathlib.Path(f'/proc/{hub.process.pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0]) << 10


@pytest.mark.plain
def test_who_does_not_read_takes_no_memory(hub, tmp_path):
    data = os.urandom(32 << 20)
    release = Release(Signer(tmp_path / 'signer'), 'station', '1.0.0', {'big': data})
    hubtest.upload(hub, hub.alice, 'station', release)
    device = hubtest.joined_device(hub, tmp_path, 'dev1', hubtest.enrolment_token(hub, hub.alice))
    assert hub.ask('POST', '/api/v1/projects/station/deployments/field/attach', {'release': release.id}, token=hub.alice).status == 200
    digest = next(iter(release.images))
    assert device.ask('GET', f'/images/{digest}', headers={'Range': 'bytes=0-9'}).status == 206
    before, readers = memory(hub), []
    for _ in range(12):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(30)
        raw.connect(('127.0.0.1', hub.port))
        s = hub.tls.wrap_socket(raw, server_hostname='127.0.0.1')
        s.sendall(f'GET /device/v1/images/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {device.token}\r\n\r\n'.encode())
        assert s.recv(1) == b'H'
        readers.append(s)
    assert hub.ask('GET', '/api/v1/projects', token=hub.alice).status == 200
    # Held whole for each it would be twelve times the image; a sanitizer keeps freed memory for a while, so not just once.
    assert memory(hub) - before < len(readers) * len(data) // 4
    for s in readers:
        s.close()
    whole = device.ask('GET', f'/images/{digest}')
    assert whole.status == 200 and whole.body == data


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 112 MiB: how a program gets there, and where we see it."""
    folder = tmp_path / 'small'
    folder.mkdir()
    holder = subprocess.Popen(['unshare', '-m', '--propagation', 'private', 'sh', '-ec',
                               'mount -t tmpfs -o size=112m none "$1"; echo ready; exec sleep 3600', 'sh', str(folder)],
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'ready\n'
    yield ['nsenter', f'--mount=/proc/{holder.pid}/ns/mnt'], folder, pathlib.Path(f'/proc/{holder.pid}/root{folder}')
    holder.kill()
    holder.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a small file system')
def test_a_full_disk(small_disk, tmp_path):
    """What does not fit is refused and leaves nothing; what is there stays; with room again all goes on."""
    inside, folder, small = small_disk
    hub = hubtest.Hub(tmp_path)
    hub.data = small / 'data'
    hub.program = [*inside, hubtest.HUB, '--data', folder / 'data']
    hub.add_org('acme', 'alice')
    with hub:
        alice = hubtest.make_world(hub, 'acme', 'alice')
        signer = Signer(tmp_path / 'signer')
        good = Release(signer, 'station', '1.0.0', {'web': os.urandom(1 << 20)})
        hubtest.upload(hub, alice, 'station', good)
        large = Release(signer, 'station', '2.0.0', {'web': os.urandom(60 << 20)})
        digest, data = next(iter(large.images.items()))
        assert hub.ask('POST', '/api/v1/projects/station/releases', raw=large.skr, token=alice).status == 201
        put = lambda at, raw: hub.ask('PUT', f'/api/v1/images/{digest}?offset={at}', raw=raw, token=alice)
        filler = small / 'filler'
        try:
            a = put(0, data)
            assert a.status == 507 and a.json['error'] == 'no-space', a
        except OSError:
            pass  # the answer came before all was sent
        # The hub keeps some room for its database; others may not: the disk is as full as it gets.
        with contextlib.suppress(OSError), open(filler, 'ab', buffering=0) as f:
            while True:
                f.write(b'x' * 65536)
        changes = [hub.ask('POST', '/api/v1/projects', {'name': f'p{i}'}, token=alice) for i in range(500)]
        assert {a.status for a in changes} - {201} == {507}, changes[-3:]
        got = hub.ask('GET', f'/api/v1/images/{next(iter(good.images))}', token=alice)
        assert got.status == 200 and got.json['have']
        made = [f'p{i}' for i, a in enumerate(changes) if a.status == 201]
        filler.unlink()
        hub.kill()
        hub.start()
        names = {p['name'] for p in hub.ask('GET', '/api/v1/projects', token=alice).json['projects']}
        assert set(made) | {'station'} == names, 'what was acknowledged is there, and nothing else'
        assert not hub.ask('GET', f'/api/v1/images/{digest}', token=alice).json['have']
        assert hub.ask('POST', '/api/v1/projects', {'name': 'later'}, token=alice).status == 201
        hubtest.upload(hub, alice, 'station', Release(signer, 'station', '3.0.0', {'web': os.urandom(2 << 20)}))
