# SPDX-License-Identifier: Apache-2.0
"""What the link brings is looked at by a child without rights first; the daemon answers meanwhile."""
import contextlib
import os
import pathlib
import signal
import struct
import subprocess
import threading

import pytest

from fleet import wait_for
from test_update import APPS, Desk, Unix, desk  # noqa: F401

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

UID_BASE = 1879048192
ATTEMPTS = 300


def tree_of(nodes):
    """A device tree with that many empty nodes in its root."""
    inner = b''.join(struct.pack('>I', 1) + f'a{i:06}'.encode() + b'\0' + struct.pack('>I', 2) for i in range(nodes))
    body = struct.pack('>II', 1, 0) + inner + struct.pack('>II', 2, 9)
    head = 56
    return struct.pack('>10I', 0xd00dfeed, head + len(body), head, head + len(body), 40, 17, 16, 0, 0, len(body)) + bytes(16) + body


def sign(desk, content):
    (desk.dir / 'content').write_bytes(content)
    subprocess.run(['openssl', 'cms', '-sign', '-binary', '-nodetach', '-nosmimecap', '-outform', 'DER', '-md', 'sha256',
                    '-signer', desk.keys / 'builder.pem', '-inkey', desk.keys / 'builder.key', '-in', desk.dir / 'content',
                    '-out', desk.dir / 'content.skr'], check=True)
    return (desk.dir / 'content.skr').read_bytes()


def daemon(desk):
    """The daemon alone: its children have its name."""
    return wait_for('the daemon', lambda: desk.devices[0].pids_of('skerryd'))[0]


def status_of(pid):
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
        return dict(line.split(':\t', 1) for line in lines if ':\t' in line)
    return {'State': 'Z', 'Uid': '0'}


class Post(threading.Thread):
    def __init__(self, desk, path, body):
        super().__init__()
        self.connection, self.path, self.body, self.result = Unix(desk.devices[0].sock), path, body, None
        self.start()

    def run(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.request('POST', '/skerry/v1' + self.path, self.body)
            answer = self.connection.getresponse()
            self.result = answer.status, answer.read().decode()

    def leave(self):
        self.connection.sock.shutdown(2)
        self.join()


def held(desk, body):
    """A release being posted, whose child stands still: tried until it was quick enough."""
    pid = daemon(desk)
    for _ in range(ATTEMPTS):
        post = Post(desk, '/releases', body)
        while post.is_alive():
            text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
            for child in map(int, text.split()):
                if int(status_of(child)['Uid'].split()[0]) < UID_BASE:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGSTOP)
                    wait_for('a stop', lambda child=child: status_of(child)['State'][0] in 'TZ')
                if status_of(child)['State'][0] == 'T':
                    return post, child
        post.join()
    raise AssertionError('no child was ever seen')


def kept(desk):
    return {r['version'] for r in desk.call('GET', '/releases')[1]}


def test_a_tree_of_100000_nodes(desk):
    desk.apply(desk.release('1.0', APPS))
    der = sign(desk, tree_of(100000))
    post, child = held(desk, der)
    s = status_of(child)
    assert int(s['Uid'].split()[0]) > UID_BASE + 1024 * 65536 and s['NoNewPrivs'] == '1' and s['Groups'].strip() == ''
    assert {s[c] for c in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')} == {'0' * 16}
    # The loop is free, whatever else is asked.
    assert desk.call('GET', '/status')[0] == 200
    assert set(desk.running()) == set(APPS)
    assert desk.call('POST', '/store/verify')[1]['damaged'] == []
    assert desk.call('POST', '/capsules/beta/restart')[0] == 200
    assert post.is_alive()
    os.kill(child, signal.SIGCONT)
    post.join()
    assert post.result[0] == 413 and 'nodes' in post.result[1], post.result
    assert kept(desk) == {'1.0'}


def trust(desk, *roots):
    """Another ca.pem in the device, while its daemon runs."""
    pem = ''.join((r / 'ca.pem').read_text() for r in roots)
    desk.devices[0].exec('/bin/sh', '-c', f"printf %s '{pem}' >/etc/skerry/trust/ca.pem")


def test_the_root_is_changed_without_a_restart(desk):
    """The steps of docs/howto/keys.md, with somebody whom the old root revoked: its list is no obstacle afterwards."""
    old, new = desk.keys, desk.dir / 'next'
    desk.skerry('key', 'release', 'leaver', '--dir', old)
    desk.skerry('key', 'revoke', 'leaver', '--dir', old)
    desk.skerry('key', 'init', '--dir', new, '--name', 'the next root')
    desk.skerry('key', 'release', 'builder', '--dir', new)
    pid = daemon(desk)
    first = desk.release('1.0', APPS)
    assert desk.call('PUT', '/trust/crl', (old / 'crl.pem').read_bytes())[1] == {'changed': True}
    desk.apply(first)
    desk.keys = new
    second = desk.release('2.0', APPS).read_bytes()
    assert desk.call('POST', '/releases', second)[1]['error'] == 'untrusted'
    trust(desk, old, new)
    status, release = desk.call('POST', '/releases', second)
    assert (status, release['version']) == (200, '2.0')
    trust(desk, new)
    assert desk.call('POST', '/releases', second)[0] == 200
    # What comes before it in time came from the old root, and comes no more.
    desk.keys = old
    third = desk.release('3.0', APPS).read_bytes()
    assert desk.call('POST', '/releases', third)[1]['error'] == 'untrusted'
    desk.keys = new
    assert desk.call('PUT', '/trust/crl', (new / 'crl.pem').read_bytes())[1] == {'changed': True}
    assert sorted(c['number'] for c in desk.call('GET', '/trust')[1]['crls']) == [1, 2]
    assert desk.call('POST', f'/releases/{release["id"]}/apply')[0] == 202
    wait_for('2.0', lambda: desk.call('GET', '/update')[1]['step'] == 'good' and desk.call('GET', '/status')[1]['generation']['version'] == '2.0')
    assert daemon(desk) == pid


def test_who_waits_for_whom(desk):
    one, two = desk.release('1.0', APPS).read_bytes(), desk.release('2.0', APPS).read_bytes()
    post, child = held(desk, one)
    second = Post(desk, '/releases', two)
    assert desk.call('GET', '/status')[0] == 200
    assert post.is_alive() and second.is_alive() and '2.0' not in kept(desk)
    os.kill(child, signal.SIGCONT)
    post.join()
    second.join()
    assert (post.result[0], second.result[0]) == (200, 200)
    assert kept(desk) == {'1.0', '2.0'}


def test_a_child_that_dies_and_a_peer_that_leaves(desk):
    release = desk.release('1.0', APPS).read_bytes()
    post, child = held(desk, release)
    os.kill(child, signal.SIGKILL)
    post.join()
    assert post.result[0] == 500 and 'signal 9' in post.result[1]

    post, child = held(desk, release)
    second = Post(desk, '/releases', desk.release('2.0', APPS).read_bytes())
    wait_for('both at once', lambda: second.connection.sock is not None)
    post.leave()
    second.join()
    assert second.result[0] == 200
    wait_for('the end of the child', lambda: status_of(child)['State'][0] == 'Z')
    assert '2.0' in kept(desk)
