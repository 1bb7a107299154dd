# SPDX-License-Identifier: Apache-2.0
"""skerryd's socket as clients and strangers misuse it, byte by byte; and Docker's rules of the wire."""
import concurrent.futures
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from docker_world import Machine, docker_archive, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or '')
HOLD = '''import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
held = []
for _ in range(int(sys.argv[3])):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
print("held", flush=True)
sys.stdin.read()
'''


@pytest.fixture(scope='module', name='m')
def _m():
    machine = Machine()
    docker_archive(machine.dir / 'demo.tar', 'demo:1')
    machine.docker('load', '-i', machine.dir / 'demo.tar')
    yield machine
    machine.close()


@contextlib.contextmanager
def connection(m, seconds=60):
    with socket.socket(socket.AF_UNIX) as s:
        # As clients do: with a time-out, a full queue of others would be an error instead of a wait.
        s.connect(str(m.socket))
        s.settimeout(seconds)
        yield s


def read_all(s):
    data = b''
    with contextlib.suppress(ConnectionError):
        while piece := s.recv(65536):
            data += piece
    return data


def raw(m, data):
    """All that comes back until the daemon closes; what it does not take is not an error."""
    with connection(m) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
        return read_all(s)


def get(path, *headers, method='GET'):
    lines = [f'{method} {path} HTTP/1.1', 'Host: x', *headers, '', '']
    return '\r\n'.join(lines).encode()


def status_of(answer):
    return int(answer.split(b' ')[1]) if answer else None


def ask(m, path, *headers, method='GET', body=b''):
    if body:
        headers += (f'Content-Length: {len(body)}',)
    return raw(m, get(path, 'Connection: close', *headers, method=method) + body)


def alive(m):
    assert status_of(ask(m, '/_ping')) == 200


def resident_kib(m):
    status = pathlib.Path(f'/proc/{m.daemon.pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0])


def quiet(m, name, script='sleep 1000', *options):
    m.docker('run', '-d', '--name', name, '--network', 'none', *options, 'demo:1', '/bin/sh', '-c', script)


@pytest.mark.parametrize('path, status, word', [
    ('/v1.24/_ping', 200, 'OK'), ('/v1.44/_ping', 200, 'OK'), ('/_ping', 200, 'OK'), ('/v1.30/version', 200, 'ApiVersion'),
    ('/v1.45/containers/json', 400, 'too new'), ('/v1.23/containers/json', 400, 'too old'),
    ('/v2.0/info', 400, 'too new'), ('/v1/info', 400, 'too old'), ('/v99999999999999999999.1/info', 400, 'too new'),
    ('/v1.99999999999999999999/info', 400, 'too new'), ('/v1.4x/info', 404, 'page not found'),
    ('/vx/info', 404, 'page not found'),
])
def test_versions(m, path, status, word):
    answer = ask(m, path)
    assert status_of(answer) == status and word.encode() in answer


def test_ping_has_its_headers(m):
    for method in ('GET', 'HEAD'):
        head = ask(m, '/_ping', method=method).split(b'\r\n\r\n')[0].lower()
        for line in (b'api-version: 1.44', b'ostype: linux', b'docker-experimental: false', b'cache-control: no-cache'):
            assert line in head


def test_empty_is_as_docker_has_it(m):
    assert json.loads(m.request('GET', '/containers/json')[1]) == []
    assert json.loads(m.request('GET', '/volumes')[1])['Volumes'] == []
    quiet(m, 'plain')
    one = json.loads(m.request('GET', '/containers/plain/json')[1])
    listed = json.loads(m.request('GET', '/containers/json')[1])[0]
    m.docker('rm', '-f', 'plain')
    assert listed['Ports'] == [] and listed['Labels'] == {} and listed['Mounts'] == []
    assert one['Config']['Labels'] == {} and one['Config']['Volumes'] is None
    assert one['HostConfig']['PortBindings'] == {} and one['HostConfig']['CapAdd'] is None
    assert one['NetworkSettings']['Ports'] == {} and one['ExecIDs'] is None and one['Mounts'] == []
    assert len(one['Id']) == 64 and one['Image'].startswith('sha256:') and len(one['Image']) == 71


def test_states_and_their_answers(m):
    identity = m.docker('create', '--name', 'c', '--network', 'none', 'demo:1')
    for path, status in (('stop', 304), ('kill', 409), ('start', 204), ('start', 304), ('kill?signal=NOPE', 400),
                         ('stop?t=-5', 400), ('stop?t=x', 400), ('restart?t=1', 204), ('stop?t=1', 204), ('stop', 304)):
        assert m.request('POST', f'/containers/c/{path}')[0] == status, path
    assert m.request('GET', f'/containers/{identity[:12]}/json')[0] == 200
    assert m.request('GET', '/containers/%00/json')[0] == 400
    assert m.request('GET', '/containers/a%20b%0a/json')[0] in (400, 404)
    m.docker('start', 'c')
    assert m.request('DELETE', '/containers/c')[0] == 409
    assert m.request('DELETE', '/containers/c?force=1')[0] == 204
    assert m.request('DELETE', '/containers/c')[0] == 404


def test_the_head_of_a_wait_and_of_logs_comes_at_once(m):
    """Without it "docker run" waits for ever: it starts the container only then."""
    m.docker('create', '--name', 'later', '--network', 'none', 'demo:1', '/bin/sh', '-c', 'exit 7')
    with connection(m) as wait, connection(m) as logs:
        wait.sendall(get('/containers/later/wait?condition=next-exit', 'Content-Length: 0', method='POST'))
        logs.sendall(get('/containers/later/logs?stdout=1&follow=1'))
        heads = [wait.recv(4096), logs.recv(4096)]
        assert all(h.startswith(b'HTTP/1.1 200') for h in heads), heads
        m.docker('start', 'later')
        rest = heads[0]
        while b'"StatusCode":7' not in rest:
            rest += wait.recv(4096)
    m.docker('rm', '-f', 'later')


def test_both_forms_of_filters(m):
    quiet(m, 'f', 'sleep 1000', '--label', 'a=b')
    for filters in ({'label': ['a=b']}, {'label': {'a=b': True}}, {'label': {'a=b': True, 'x=y': False}}):
        found = m.request('GET', '/containers/json?filters=' + json.dumps(filters).replace('"', '%22').replace(' ', ''))
        assert len(json.loads(found[1])) == 1, filters
    for filters in ('[]', '{', '{"label":7}', '{"label":[7]}', '{"label":' * 100 + '{}' + '}' * 100):
        assert m.request('GET', '/containers/json?filters=' + filters.replace('"', '%22'))[0] == 400
    m.docker('rm', '-f', 'f')


def test_pipelining(m):
    with connection(m) as s:
        s.sendall(get('/_ping') + get('/containers/json') + get('/nowhere') + get('/_ping', 'Connection: close'))
        answer = read_all(s)
    assert [part.split(b' ')[0] for part in answer.split(b'HTTP/1.1 ')[1:]] == [b'200', b'200', b'404', b'200']


HOSTILE = {
    'no version': b'GET /_ping\r\n\r\n',
    'old version': b'GET /_ping HTTP/0.9\r\n\r\n',
    'new version': b'GET /_ping HTTP/9.9\r\nHost: x\r\n\r\n',
    'nothing': b'\r\n' * 20000,
    'binary': bytes(range(256)) * 1000,
    'tls': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 600,
    'header bomb': b'GET /_ping HTTP/1.1\r\nHost: x\r\n' + b'X-%d: y\r\n' * 200000,
    'one long header': b'GET /_ping HTTP/1.1\r\nHost: x\r\nX: ' + b'y' * (1 << 20),
    'folded headers': b'GET /_ping HTTP/1.1\r\nHost: x\r\nX: y\r\n' + b' z\r\n' * 100000,
    'two lengths': get('/containers/create', 'Content-Length: 5', 'Content-Length: 6', method='POST') + b'{}    ',
    'length and chunks': get('/containers/create', 'Content-Length: 5', 'Transfer-Encoding: chunked', method='POST'),
    'length below zero': get('/containers/create', 'Content-Length: -1', method='POST'),
    'length above all': get('/containers/create', 'Content-Length: 99999999999999999999999', method='POST'),
    'length of 4 GiB': get('/containers/create', 'Content-Length: 4294967296', method='POST') + b'{' * 100000,
    'chunk above all': get('/containers/create', 'Transfer-Encoding: chunked', method='POST') + b'ffffffffffffffffff\r\n{}',
    'chunk below zero': get('/containers/create', 'Transfer-Encoding: chunked', method='POST') + b'-5\r\n{}',
    'chunk of nonsense': get('/containers/create', 'Transfer-Encoding: chunked', method='POST') + b'zz\r\n{}',
    'too many chunks': get('/containers/create', 'Transfer-Encoding: chunked', method='POST') + b'1\r\n{\r\n' * 1200000,
    'other encoding': get('/containers/create', 'Transfer-Encoding: gzip', method='POST') + b'x',
    'long query': get('/containers/json?' + 'a=b&' * 4000),
    'long path': get('/' + 'a/' * 8000),
    'deep json': get('/containers/create', 'Content-Length: 200000', 'Connection: close', method='POST') +
                 b'[' * 200000,
}


# So little of a request that the server waits for the rest, until its patience ends.
UNFINISHED = ('tls', 'other encoding', 'long query')


def answer_to(m, kind):
    with connection(m) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(HOSTILE[kind])
            s.shutdown(socket.SHUT_WR)
        return read_all(s)


@pytest.fixture(scope='module')
def unfinished(m):
    """What comes of those, all sent at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(UNFINISHED)) as pool:
        yield {kind: pool.submit(answer_to, m, kind) for kind in UNFINISHED}


@pytest.mark.parametrize('kind', HOSTILE)
def test_hostile_bytes(m, unfinished, kind):
    """An error or a closed connection; never an answer of success, never the end of the daemon."""
    before = m.daemon.pid
    answer = unfinished[kind].result() if kind in unfinished else answer_to(m, kind)
    assert answer == b'' or status_of(answer) >= 400, answer[:200]
    alive(m)
    assert m.daemon.pid == before and m.docker('ps', '-aq') == ''


def test_an_endless_request_line_is_cut_off(m):
    """What would be 4 GiB is over long before."""
    sent = 0
    with connection(m) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(b'GET /')
            while sent < 1 << 32:
                s.sendall(b'a' * 65536)
                sent += 65536
        read_all(s)
    assert sent < 16 << 20
    alive(m)


def test_strangers_leave_room(m):
    """However many connections who may do nothing, or the agent, hold: root is served, and soon."""
    holders = [subprocess.Popen([sys.executable, '-c', HOLD, str(m.socket), str(uid), '400'], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for uid in (12345, 12346, 65534)]
    try:
        for h in holders:
            assert h.stdout.readline() == 'held\n'
        for _ in range(20):
            alive(m)
        assert m.docker('ps', '-q') == ''
    finally:
        for h in holders:
            h.communicate()


@pytest.mark.plain
def test_who_does_not_read_costs_little(m):
    """A flood of output to clients that take none of it; and one that does still gets it."""
    quiet(m, 'flood', 'while :; do /bin/busybox yes 0123456789012345678901234567890123456789 | /bin/busybox head -n 20000; done')
    before = resident_kib(m)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            s = stack.enter_context(connection(m))
            s.sendall(get('/containers/flood/logs?stdout=1&follow=1'))
        with connection(m) as reader:
            reader.sendall(get('/containers/flood/logs?stdout=1&follow=1'))
            taken = 0
            while taken < 4 << 20:
                taken += len(reader.recv(65536))
        alive(m)
        # 20 buffers of 256 KiB, as many lines that wait, and what malloc or a sanitizer keeps: half of what all were sent
        assert resident_kib(m) - before < 20 * 4 * 1024 // 2
    m.docker('rm', '-f', 'flood')
    alive(m)


def test_two_followers_see_the_same(m):
    m.docker('create', '--name', 'talk', '--network', 'none', 'demo:1', '/bin/sh', '-c', '/bin/busybox seq 1 2000')
    argv = ['docker', '-H', f'unix://{m.socket}', 'logs', '-f', 'talk']
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    m.docker('start', 'talk')
    wanted = ''.join(f'{i}\n' for i in range(1, 2001))
    assert [p.communicate(timeout=60)[0] for p in both] == [wanted, wanted]
    assert m.docker('logs', '--tail', '3', 'talk') == '1998\n1999\n2000'
    assert m.docker('logs', '--since', '1h', '--tail', '1', 'talk') == '2000'
    assert m.docker('logs', '--until', '1h', 'talk') == ''
    assert m.docker('logs', '-f', '--until', '1h', 'talk') == ''
    m.docker('rm', 'talk')


def test_follow_with_an_end_ends(m):
    """--until in the past, and the container goes on."""
    quiet(m, 'long', 'echo a; sleep 1000')
    m.until(lambda: m.docker('logs', 'long') == 'a')
    time.sleep(1.1)
    assert m.docker('logs', '-f', '--until', f'{int(time.time()) - 1}', 'long') in ('', 'a')
    m.docker('rm', '-f', 'long')


def test_run_in_the_foreground_is_refused(m):
    """Without attaching there is none; the container that was made for it is not run."""
    assert '501' in m.docker('run', '--name', 'fg', '--network', 'none', 'demo:1', ok=False)
    assert m.docker('ps', '-a', '--format', '{{.Names}} {{.State}}') == 'fg created'
    status, body, _ = m.request('POST', '/containers/fg/attach?stream=1&stdout=1')
    assert status == 501 and 'docker run -d' in json.loads(body)['message']
    m.docker('rm', 'fg')


def test_why_it_does_not_start_is_told(m):
    """The client, which names the container too, is not taken for a rest of it."""
    identity = m.docker('create', '--name', 'bad', '--network', 'none', 'demo:1', '/no/such/program')
    assert '/no/such/program' in m.docker('start', identity, ok=False)
    assert m.docker('inspect', '-f', '{{.State.Status}}', identity) == 'created'
    m.docker('rm', 'bad')


def test_a_hostile_health_check_hides_nothing(m):
    quiet(m, 'sick', 'sleep 1000', '--health-cmd', r"printf 'a\377b\033[31m'; exit 1", '--health-interval', '1s',
          '--health-retries', '1')
    m.until(lambda: m.docker('inspect', '-f', '{{.State.Health.Status}}', 'sick') == 'unhealthy')
    status, body, _ = m.request('GET', '/skerry/v1/capsules')
    assert status == 200 and json.loads(body)[0]['health_output'] == 'a?b [31m'
    health = json.loads(m.docker('inspect', '-f', '{{json .State.Health}}', 'sick'))
    last = health['Log'][-1]
    assert health['FailingStreak'] >= 1 and (last['ExitCode'], last['Output']) == (1, 'a?b [31m')
    assert '2020' < last['Start'] <= last['End']
    m.docker('rm', '-f', 'sick')


def test_while_it_waits_for_its_restart(m):
    quiet(m, 'flaky', 'exit 3', '--restart', 'always')
    m.until(lambda: m.docker('inspect', '-f', '{{.State.Status}}', 'flaky') == 'restarting')
    # Docker counts it as running, so that stop and rm know what to do.
    state = json.loads(m.docker('inspect', '-f', '{{json .State}}', 'flaky'))
    assert state['Status'] != 'restarting' or (state['Running'] and state['Restarting'])
    m.docker('stop', 'flaky')
    assert m.docker('inspect', '-f', '{{.State.Status}}', 'flaky') == 'exited'
    m.docker('rm', 'flaky')


def test_several_at_once(m):
    for i in range(5):
        quiet(m, f's{i}')
    out = m.docker('rm', '-f', *(f's{i}' for i in range(5)))
    assert out.split() == [f's{i}' for i in range(5)] and m.docker('ps', '-aq') == ''


def as_user(m, uid, method, path, body=b''):
    """A request of another user, from a process of that user; the answer's status."""
    code = ('import os, socket, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]));'
            's = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(bytes.fromhex(sys.argv[3]));'
            'print(s.recv(99).split()[1].decode())')
    text = get(path, 'Connection: close', f'Content-Length: {len(body)}', method=method) + body
    return int(subprocess.run([sys.executable, '-c', code, str(m.socket), str(uid), text.hex()], capture_output=True,
                              text=True, check=True).stdout)


@pytest.mark.parametrize('method, path', [
    ('GET', '/info'), ('GET', '/events'), ('GET', '/images/json'), ('GET', '/containers/own/json'),
    ('GET', '/containers/own/logs?stdout=1'), ('POST', '/containers/create'), ('POST', '/containers/own/start'),
    ('POST', '/containers/own/stop'), ('POST', '/containers/own/kill'), ('POST', '/containers/own/restart'),
    ('POST', '/containers/own/wait'), ('DELETE', '/containers/own?force=1'), ('POST', '/images/load'),
    ('DELETE', '/images/demo:1'), ('POST', '/images/demo:1/tag?repo=x&tag=y'),
    ('POST', '/skerry/v1/capsules/own/stop'), ('POST', '/skerry/v1/capsules/own/start'),
    ('POST', '/skerry/v1/capsules/own/restart'), ('POST', '/skerry/v1/capsules/own/prepare'),
])
def test_what_the_agent_and_strangers_may_not(m, method, path):
    """The link to the hub may bring releases and tell; nothing of this. Others may do nothing."""
    if not m.docker('ps', '-aq', '--filter', 'name=own'):
        quiet(m, 'own')
    for uid in (65534, 12345):
        assert as_user(m, uid, method, path) == 403
    assert m.docker('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'own') == 'running 0'


def test_what_the_agent_may(m):
    assert as_user(m, 65534, 'GET', '/skerry/v1/capsules') == 200
    assert as_user(m, 65534, 'GET', '/skerry/v1/status') == 200
    assert as_user(m, 12345, 'GET', '/skerry/v1/capsules') == 403


def test_folders_are_closed(m):
    modes = {name: oct(m.inside(name).stat().st_mode & 0o777) for name in ('state/volumes', 'log', 'run/records')}
    assert modes == {'state/volumes': '0o700', 'log': '0o750', 'run/records': '0o700'}
