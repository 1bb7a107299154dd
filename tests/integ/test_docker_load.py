# SPDX-License-Identifier: Apache-2.0
"""`docker load`: what the children may do, who waits for whom, and what is left after a cut."""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading

import pytest

from docker_world import BUILD, Machine, docker_archive, missing, status_of

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or '')

UID_BASE = 1879048192
NO_CAPS = '0' * 16


@pytest.fixture(scope='module')
def m():
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture(autouse=True)
def clean(m):
    """Each test leaves no work folder, no part in the store and no child."""
    yield
    m.until(lambda: not m.works() and not m.children(), 'an end of all work')
    assert not list(m.inside('state/store/staging').glob('*.part'))
    for name in m.docker('images', '--format', '{{.Repository}}:{{.Tag}}').split():
        m.docker('rmi', name)
    m.until(lambda: not images(m), 'an empty store')


def archive(m, tag, megabytes=0):
    """Much larger than what pipes and sockets hold, when it has @megabytes."""
    path = m.dir / 'archive.tar'
    docker_archive(path, tag, big=os.urandom(megabytes << 20))
    return path.read_bytes()


def images(m):
    return [p.name for p in m.inside('state/store/images').iterdir()]


def unpackers(m, program='skerry-unpack'):
    """Children that have become another user, and that program."""
    found = []
    for pid in m.children():
        with contextlib.suppress(OSError):
            if int(status_of(pid)['Uid'].split()[0]) >= UID_BASE and os.readlink(f'/proc/{pid}/exe').endswith('/' + program):
                found.append(pid)
    return found


def is_gone(pid):
    with contextlib.suppress(OSError):
        return status_of(pid)['State'][0] == 'Z'
    return True


class Load:
    """A client that sends an archive byte by byte, as it likes."""

    def __init__(self, m, data):
        self.m, self.data, self.sent = m, data, 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(m.socket))
        self.sock.settimeout(120)
        self.sock.sendall(f'POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n'.encode())
        self.rest = None

    def send(self, n):
        self.sock.sendall(self.data[self.sent:self.sent + n])
        self.sent += n
        return self

    def begin(self):
        """Part of it; returns the child, which is stopped."""
        before = set(unpackers(self.m))
        self.send(100)
        self.m.until(lambda: set(unpackers(self.m)) - before, 'a child')
        # It stays: it waits for the rest.
        pid, = set(unpackers(self.m)) - before
        os.kill(pid, signal.SIGSTOP)
        self.m.until(lambda: status_of(pid)['State'][0] == 'T', 'a stopped child')
        return pid

    def send_rest(self):
        """From another thread: nobody may take it now."""
        def run():
            with contextlib.suppress(OSError):
                self.send(len(self.data) - self.sent)
        self.rest = threading.Thread(target=run)
        self.rest.start()
        return self

    def answer(self):
        if self.rest:
            self.rest.join()
        text = b''
        while more := self.sock.recv(65536):
            text += more
        self.sock.close()
        return text.decode()

    def leave(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        if self.rest:
            self.rest.join()


def answers(m):
    """The loop is free."""
    assert m.request('GET', '/_ping')[1] == b'OK'
    assert m.request('GET', '/skerry/v1/status')[0] == 200
    assert m.request('GET', '/images/json')[0] == 200
    assert m.request('GET', '/containers/json?all=1')[0] == 200


def test_the_loop_is_free_while_a_child_stands_still(m):
    load = Load(m, archive(m, 'slow:1', 16))
    child = load.begin()
    load.send_rest()
    answers(m)
    # Far more was sent than the daemon holds; it takes nothing that it cannot pass on.
    assert load.rest.is_alive()
    # Another one overtakes it.
    assert 'Loaded image: quick:1' in Load(m, archive(m, 'quick:1')).send(1 << 30).answer()
    answers(m)
    assert 'slow:1' not in m.docker('images', '--format', '{{.Repository}}:{{.Tag}}')
    os.kill(child, signal.SIGCONT)
    assert 'Loaded image: slow:1' in load.answer()
    assert 'slow:1' in m.docker('images', '--format', '{{.Repository}}:{{.Tag}}')


@pytest.mark.plain
def test_the_child_has_no_rights(m):
    load = Load(m, archive(m, 'bare:1', 1))
    child = load.begin()
    s = status_of(child)
    environ = pathlib.Path(f'/proc/{child}/environ').read_text().split('\0')
    assert [v.split('=')[0] for v in environ if v] == ['PATH']
    assert {int(u) for u in s['Uid'].split()} == {int(g) for g in s['Gid'].split()}
    assert int(s['Uid'].split()[0]) >= UID_BASE + 1024 * 65536, 'a user of a capsule'
    assert s['Groups'].strip() == '' and s['NoNewPrivs'] == '1'
    assert [s[c] for c in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')] == [NO_CAPS] * 5
    for ns in ('net', 'ipc'):
        assert os.readlink(f'/proc/{child}/ns/{ns}') != os.readlink(f'/proc/{m.daemon.pid}/ns/{ns}')
    # It holds what it works on, and nothing of the daemon's.
    open_files = [os.readlink(f'/proc/{child}/fd/{fd}') for fd in os.listdir(f'/proc/{child}/fd')]
    assert not any(word in path for path in open_files for word in ('socket', 'anon_inode', '/store', 'run/s')), open_files
    limits = pathlib.Path(f'/proc/{child}/limits').read_text()
    for name in ('Max cpu time', 'Max file size', 'Max address space'):
        line, = [one for one in limits.splitlines() if one.startswith(name)]
        sanitized = name == 'Max address space' and 'asan' in str(m.daemon.args)
        assert sanitized or 'unlimited' not in line[len(name):].split()[1], line
    assert pathlib.Path(f'/proc/{child}/oom_score_adj').read_text() == '1000\n'
    os.kill(child, signal.SIGCONT)
    assert 'Loaded image: bare:1' in load.send_rest().answer()


def test_users_of_two_children_differ(m):
    one, two = Load(m, archive(m, 'one:1', 1)), Load(m, archive(m, 'two:1', 1))
    a, b = one.begin(), two.begin()
    assert status_of(a)['Uid'] != status_of(b)['Uid']
    for pid in (a, b):
        os.kill(pid, signal.SIGCONT)
    assert 'one:1' in one.send_rest().answer() and 'two:1' in two.send_rest().answer()


@pytest.mark.parametrize('sig', [signal.SIGKILL, signal.SIGXCPU, signal.SIGABRT])
def test_a_child_that_dies(m, sig):
    """By the kernel's hand when memory or its limits run out, or by an archive that has found a mistake."""
    load = Load(m, archive(m, 'dead:1', 4))
    child = load.begin()
    load.send_rest()
    os.kill(child, sig)
    os.kill(child, signal.SIGCONT)
    text = load.answer()
    assert f'signal {int(sig)}' in text and 'memory' in text and 'Loaded' not in text, text
    assert not images(m)
    answers(m)


def test_a_client_that_leaves_in_the_middle(m):
    load = Load(m, archive(m, 'left:1', 4))
    child = load.begin()
    load.send(1 << 16)
    load.leave()
    m.until(lambda: is_gone(child), 'the end of the child')
    assert not images(m)


def test_a_client_that_leaves_while_nothing_is_taken(m):
    load = Load(m, archive(m, 'left:1', 16))
    child = load.begin()
    load.send_rest()
    answers(m)
    load.leave()
    m.until(lambda: is_gone(child), 'the end of the child')
    assert not images(m)


def test_a_client_that_leaves_after_all_is_sent(m):
    load = Load(m, archive(m, 'left:1')[:60000])  # into the pipe, all of it
    child = load.begin()
    load.send(1 << 30)
    answers(m)
    load.leave()
    m.until(lambda: is_gone(child), 'the end of the child')


def test_killed_daemon_leaves_nothing(m):
    load = Load(m, archive(m, 'cut:1', 4))
    child = load.begin()
    load.send_rest()
    assert m.works()
    m.daemon.kill()
    m.daemon.wait()
    m.until(lambda: is_gone(child), 'the end of the child')
    load.leave()
    # As if it had been killed a moment later, with half of the image in the store.
    (m.inside('state/store/staging') / f'{"ab" * 32}.part').write_bytes(b'half of it')
    m.start()
    m.until(lambda: not m.works(), 'an empty work folder')
    assert not images(m) and not list(m.inside('state/store/staging').iterdir())


def test_killed_daemon_while_it_stores(m):
    """At many moments of the whole way; after a new start nothing half is there."""
    data = archive(m, 'cut:1', 8)
    for i in range(6):
        load = Load(m, data).send_rest()
        if i > 0:
            m.until(lambda: unpackers(m) or images(m), 'a beginning')
        for _ in range(i):
            answers(m)
        m.daemon.kill()
        m.daemon.wait()
        load.leave()
        m.start()
        m.until(lambda: not m.works(), 'an empty work folder')
        assert not list(m.inside('state/store/staging').glob('*.part'))
    assert 'Loaded image: cut:1' in Load(m, data).send(1 << 30).answer()


def test_more_than_two_wait_for_their_turn(m):
    loads = [Load(m, archive(m, f'turn{i}:1', 4)) for i in range(2)]
    held = [load.begin() for load in loads]
    third = Load(m, archive(m, 'third:1', 4)).send_rest()
    leaver = Load(m, archive(m, 'leaver:1', 4)).send_rest()
    answers(m)
    assert set(unpackers(m)) == set(held)
    leaver.leave()
    os.kill(held[0], signal.SIGCONT)
    assert 'Loaded image: turn0:1' in loads[0].send_rest().answer()
    assert 'Loaded image: third:1' in third.answer()
    os.kill(held[1], signal.SIGCONT)
    assert 'Loaded image: turn1:1' in loads[1].send_rest().answer()


def test_the_same_image_many_times_at_once(m):
    data = archive(m, 'same:1', 4)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda _: Load(m, data).send(1 << 30).answer(), range(6)))
    assert all('Loaded image: same:1' in text for text in texts), texts
    assert len(images(m)) == 1


def test_removed_while_it_is_loaded(m):
    data = archive(m, 'fickle:1', 2)
    over = threading.Event()

    def remove():
        while not over.is_set():
            m.request('DELETE', '/images/fickle:1')
    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(8):
            assert 'Loaded image: fickle:1' in Load(m, data).send(1 << 30).answer()
    finally:
        over.set()
        remover.join()
    # A name always has its image.
    status, body, _ = m.request('GET', '/images/json')
    for image in json.loads(body):
        assert m.request('GET', f"/images/{image['Id']}/json")[0] == 200
    m.until(lambda: len(images(m)) == len(json.loads(body)), 'an image for each name')
    assert status == 200


def test_verified_while_it_is_loaded(m):
    first = archive(m, 'first:1', 8)
    assert 'Loaded' in Load(m, first).send(1 << 30).answer()
    load = Load(m, archive(m, 'second:1', 4))
    child = load.begin()
    load.send_rest()
    status, body, _ = m.request('POST', '/skerry/v1/store/verify')
    report = json.loads(body)
    assert (status, report['checked'], report['damaged']) == (200, 1, [])
    os.kill(child, signal.SIGCONT)
    assert 'Loaded image: second:1' in load.answer()


def test_bytes_after_the_end_are_ignored(m):
    data = archive(m, 'tail:1') + b'\0' * (4 << 20)
    assert 'Loaded image: tail:1' in Load(m, data).send(1 << 30).answer()


def test_docker_cli_is_told_what_is_wrong(m):
    (m.dir / 'bad.tar').write_bytes(os.urandom(8 << 20))
    text = m.docker('load', '-i', m.dir / 'bad.tar', ok=False)
    assert 'archive' in text, text
    (m.dir / 'empty.tar').write_bytes(b'')
    r = subprocess.run(['curl', '-s', '--unix-socket', m.socket, '-XPOST', 'http://d/images/load'], capture_output=True, text=True, check=True)
    assert 'empty' in json.loads(r.stdout)['message']


@contextlib.contextmanager
def unpacker(m, program):
    """The daemon, started anew with another program for archives."""
    conf = (m.dir / 'conf').read_text()
    (m.dir / 'conf').write_text(f'{conf}unpacker = {program}\n')
    m.restart()
    try:
        yield
    finally:
        (m.dir / 'conf').write_text(conf)
        m.restart()


def lie(m, status, text, image=b''):
    """What a load is answered when the unpacker ends with @status, says @text and makes @image."""
    text = text if isinstance(text, bytes) else text.encode()
    return Load(m, f'{status} {len(text)}\n'.encode() + text + image).send(1 << 30).answer()


def test_nothing_is_believed_of_an_unpacker(m):
    """It may be in the hands of whoever made the archive."""
    image = os.urandom(8192)
    digest = 'sha256:' + hashlib.sha256(image).hexdigest()
    true = {'digest': digest, 'size': len(image), 'tags': ['liar:1']}
    with unpacker(m, BUILD / 'tests/integ/helpers/liar'):
        for change in ({'digest': 'sha256:' + 'ab' * 32}, {'digest': '../../../etc/passwd'}, {'digest': None},
                       {'size': len(image) - 1}, {'size': len(image) + 1}, {'size': 0}, {'size': -1}, {'size': 1 << 62},
                       {'size': 'many'}):
            text = lie(m, 0, json.dumps({**true, **change}), image)
            assert '"error"' in text and 'Loaded' not in text, (change, text)
            assert not images(m), change
        for said in ('', '[]', 'nonsense', '{"digest":', '\0', b'\xff\xfe', '[' * 60000, 'x' * (1 << 20)):
            text = lie(m, 0, said, image)
            assert '"error"' in text and 'Loaded' not in text, (said[:20], text)
        answers(m)


def test_names_of_an_unpacker_are_names(m):
    image = os.urandom(8192)
    true = {'digest': 'sha256:' + hashlib.sha256(image).hexdigest(), 'size': len(image)}
    with unpacker(m, BUILD / 'tests/integ/helpers/liar'):
        for tags in (['../../etc/passwd'], [''], ['a' * 5000], [7], 7, ['n:1'] * 65, [f'n{i}:1' for i in range(70)], ['a\nb:1']):
            text = lie(m, 0, json.dumps({**true, 'tags': tags}), image)
            assert '"error"' in text and 'Loaded' not in text, (tags, text)
            # Not even without a name: nobody could remove it.
            assert not images(m), tags
        assert 'Loaded image: n:1' in lie(m, 0, json.dumps({**true, 'tags': ['n:1'] * 64}), image)


def test_failures_of_an_unpacker(m):
    with unpacker(m, BUILD / 'tests/integ/helpers/liar'):
        assert 'the layer is odd' in lie(m, 1, 'bad-archive the layer is odd')
        # Whatever it says comes as text of a bounded length, and as JSON.
        for said in (b'bad-archive \xff\xfe\r\n{"stream":"Loaded image: x"}', b'no-such-slug text', b'x' * 60000, b'', b'bad-archive',
                     b'bad-archive ' + b'y' * 60000):
            text = lie(m, 1, said)
            body = text.split('\r\n\r\n', 1)[1]
            chunks = [line for line in body.split('\r\n') if line.startswith('{')]
            assert len(chunks) == 1 and len(chunks[0]) < 5000 and json.loads(chunks[0])['error'], (said[:30], text)
        assert 'failed with status 90' in lie(m, 90, '')
        assert not images(m)


def test_without_an_unpacker(m):
    with unpacker(m, m.dir / 'not-there'):
        (m.dir / 'some.tar').write_bytes(archive(m, 'none:1', 2))
        text = m.docker('load', '-i', m.dir / 'some.tar', ok=False)
        assert 'not-there' in text and 'is not installed' in text, text
        answers(m)
    assert 'Loaded image: back:1' in Load(m, archive(m, 'back:1')).send(1 << 30).answer()
