# SPDX-License-Identifier: Apache-2.0
"""The real docker CLI against the real skerryd, in a mount namespace of its own.

The CLI is taken from PATH, or from SKERRY_DOCKER_CLI (another version's path).
"""
import contextlib
import json
import os
import select
import signal
import subprocess

import pytest

from docker_world import DOCKER, SKERRYD, Machine, docker_archive, missing, status_of

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or '')


@pytest.fixture(scope='module')
def m():
    machine = Machine()
    archive = machine.dir / 'demo.tar'
    docker_archive(archive, 'demo:1')
    assert 'Loaded image: demo:1' in machine.docker('load', '-i', archive)
    yield machine
    machine.close()


@pytest.fixture
def web(m):
    m.docker('run', '-d', '--name', 'web', '--network', 'none', '--label', 'role=front', 'demo:1')
    yield 'web'
    m.docker('rm', '-f', 'web')


def test_about(m):
    assert 'Skerry' in m.docker('version')
    assert m.docker('version', '--format', '{{.Server.MinAPIVersion}}') == '1.24'
    assert m.docker('info', '--format', '{{.Driver}} {{.Swarm.LocalNodeState}}') == 'skerry inactive'
    status, body, answer = m.request('HEAD', '/_ping')
    assert (status, body, answer.headers['Api-Version']) == (200, b'', '1.44')
    assert m.request('GET', '/v1.24/_ping')[1] == b'OK'


def test_images(m):
    assert m.docker('images', '--format', '{{.Repository}}:{{.Tag}}') == 'demo:1'
    one = json.loads(m.docker('image', 'inspect', 'demo:1'))[0]
    assert one['Config']['Env'] == ['PATH=/bin', 'COLOUR=blue'] and one['Architecture'] == 'amd64'
    assert m.docker('images', '-q', '--no-trunc') == one['Id']
    m.docker('tag', 'demo:1', 'acme/other')
    assert 'acme/other:latest' in json.loads(m.docker('image', 'inspect', one['Id'][7:19]))[0]['RepoTags']
    assert m.docker('images', '--format', '{{.Tag}}', '--filter', 'reference=acme/other') == 'latest'
    assert 'Untagged: acme/other:latest' in m.docker('rmi', 'acme/other')
    assert 'No such image' in m.docker('rmi', 'nothing:1', ok=False)


def test_load_is_repeatable(m):
    before = m.docker('images', '-q', '--no-trunc')
    m.docker('load', '-q', '-i', m.dir / 'demo.tar')
    assert m.docker('images', '-q', '--no-trunc') == before


def test_life(m, web):
    assert m.docker('ps', '--format', '{{.Names}} {{.Image}} {{.State}}') == 'web demo:1 running'
    m.until(lambda: 'tick 2' in m.docker('logs', web))
    assert 'web' in m.docker('create', '--name', 'web', 'demo:1', ok=False)
    m.docker('stop', '-t', '10', web)
    assert m.docker('ps', '-q') == ''
    assert m.docker('inspect', '-f', '{{.State.ExitCode}} {{.State.Status}}', web) == '0 exited'
    assert m.docker('logs', web).endswith('bye')
    assert m.request('POST', f'/containers/{web}/stop')[0] == 304
    m.docker('start', web)
    assert m.request('POST', f'/containers/{web}/start')[0] == 304
    m.docker('restart', '-t', '5', web)
    assert 'running' in m.docker('rm', web, ok=False)
    m.docker('kill', '-s', 'KILL', web)
    m.until(lambda: m.docker('inspect', '-f', '{{.State.ExitCode}}', web) == '137')


def capsule_state(m, name):
    return next(c['state'] for c in json.loads(m.request('GET', '/skerry/v1/capsules')[1]) if c['name'] == name)


def test_created_lies_ready(m):
    m.docker('create', '--name', 'ready', '--network', 'none', 'demo:1')
    m.until(lambda: capsule_state(m, 'ready') == 'prepared')
    assert m.docker('inspect', '-f', '{{.State.Status}} {{.State.Running}}', 'ready') == 'created false'
    assert m.docker('ps', '-q') == '' and m.docker('logs', 'ready') == ''
    m.docker('start', 'ready')
    m.until(lambda: 'tick 1' in m.docker('logs', 'ready'))
    m.docker('rm', '-f', 'ready')


def test_what_cannot_be_made_ready_is_told_by_start(m):
    m.docker('create', '--name', 'odd', '--network', 'none', '--user', 'stranger', 'demo:1')
    for _ in range(2):
        assert 'stranger' in m.docker('start', 'odd', ok=False)
    assert capsule_state(m, 'odd') == 'created'
    m.docker('rm', 'odd')


def test_logs(m, web):
    m.until(lambda: 'tick 3' in m.docker('logs', web))
    assert m.docker('logs', '--tail', '1', web).startswith('tick')
    assert m.docker('logs', '-t', '--tail', '1', web)[:2] == '20'
    plain = m.request('GET', f'/skerry/v1/capsules/{web}/logs?tail=100')[1].decode()
    assert 'hello' in plain and 'oops' in plain
    raw = m.request('GET', f'/containers/{web}/logs?stderr=1')[1]
    assert raw[:8] == b'\x02\0\0\0\0\0\0\x05' and raw[8:] == b'oops\n'
    assert m.request('GET', f'/containers/{web}/logs')[0] == 400
    follow = subprocess.Popen([DOCKER, '-H', f'unix://{m.socket}', 'logs', '-f', web], stdout=subprocess.PIPE, text=True)
    seen = [follow.stdout.readline() for _ in range(4)]
    m.docker('stop', web)
    rest = follow.communicate(timeout=60)[0]
    assert seen[0] == 'hello\n' and rest.endswith('bye\n')


def test_wait_and_events(m, web):
    events = subprocess.Popen([DOCKER, '-H', f'unix://{m.socket}', 'events', '--format', '{{.Actor.Attributes.name}} {{.Action}}',
                               '--filter', 'container=web', '--filter', 'container=knock'], stdout=subprocess.PIPE, text=True)
    wait = subprocess.Popen([DOCKER, '-H', f'unix://{m.socket}', 'wait', web], stdout=subprocess.PIPE, text=True)
    # Only from when it listens are events its.
    for _ in range(300):
        m.docker('create', '--name', 'knock', '--network', 'none', 'demo:1')
        m.docker('rm', 'knock')
        if select.select([events.stdout], [], [], 0.2)[0]:
            break
    m.docker('kill', web)
    assert wait.communicate(timeout=60)[0] == '137\n'
    for line in events.stdout:
        if line == 'web die\n':
            break
    else:
        raise AssertionError('the end of the container was not told')
    events.terminate()
    events.wait()
    assert m.docker('wait', web) == '137'


def test_filters(m, web):
    assert m.docker('ps', '-q', '--filter', 'label=role=front') != ''
    assert m.docker('ps', '-q', '--filter', 'label=role=back') == ''
    assert m.docker('ps', '-aq', '--filter', 'status=exited') == ''
    assert m.docker('ps', '-q', '--filter', 'name=we', '--filter', 'ancestor=demo:1') != ''
    assert m.request('GET', '/containers/json?filters=%7B%22x%22:[%22y%22]%7D')[0] == 400


def test_run_options(m):
    m.docker('run', '-d', '--name', 'full', '--network', 'none', '-e', 'A=1', '-w', '/tmp', '-u', '1000', '--read-only',
             '-v', 'data:/data', '--restart', 'on-failure:2', '--stop-timeout', '3', '--entrypoint', '/bin/sh', 'demo:1',
             '-c', 'echo "$A $COLOUR $(pwd)"; sleep 600')
    m.until(lambda: m.docker('logs', 'full') != '')
    assert m.docker('logs', 'full') == '1 blue /tmp'
    one = json.loads(m.docker('inspect', 'full'))[0]
    assert one['HostConfig']['ReadonlyRootfs'] and one['HostConfig']['RestartPolicy']['Name'] == 'on-failure'
    assert one['Mounts'][0]['Name'] == 'data' and one['Config']['User'] == '1000'
    m.docker('rm', '-f', 'full')


def test_auto_remove(m):
    m.docker('run', '-d', '--rm', '--name', 'short', '--network', 'none', 'demo:1', '/bin/sh', '-c', 'exit 3')
    m.until(lambda: m.docker('ps', '-aq', '--filter', 'name=short') == '')


@pytest.mark.parametrize('options, words', [
    (['--privileged'], 'Privileged'), (['--cap-add', 'NET_ADMIN'], 'CapAdd'), (['-v', '/etc:/etc'], 'folder of the device'),
    (['-p', '80:80'], 'publishing ports'), (['--pid', 'host'], 'PidMode'), (['-t'], 'Tty'), (['--tmpfs', '/t'], 'Tmpfs'),
])
def test_refused_by_name(m, options, words):
    assert words in m.docker('create', *options, 'demo:1', ok=False)
    assert m.docker('ps', '-aq') == ''


@pytest.mark.parametrize('method, path, status', [
    ('GET', '/nowhere', 404), ('GET', '/containers/x/top', 501), ('PUT', '/containers/json', 405),
    ('GET', '/containers/x/json', 404), ('POST', '/containers/x/exec', 501), ('GET', '/swarm', 503),
    ('POST', '/containers/create', 400), ('GET', '/containers/%2e%2e/json', 400),
])
def test_errors_are_docker_s(m, method, path, status):
    got, body, _ = m.request(method, path)
    assert got == status and list(json.loads(body)) == ['message']


def test_own_api(m, web):
    status, body, _ = m.request('GET', '/skerry/v1/capsules/web')
    assert status == 200 and json.loads(body)['state'] == 'running'
    assert json.loads(m.request('POST', '/skerry/v1/capsules/web/stop')[1])['state'] == 'exited'
    assert json.loads(m.request('POST', '/skerry/v1/capsules/web/start')[1])['state'] == 'running'
    assert set(json.loads(m.request('GET', '/skerry/v1/capsules/none')[1])) == {'error', 'message'}


@pytest.mark.parametrize('name', ['../evil', '/etc/passwd2', 'bin/sh/x'])
def test_hostile_archive(m, name):
    before = m.docker('images', '-q')
    docker_archive(m.dir / 'evil.tar', 'evil:1', [name])
    r = subprocess.run([DOCKER, '-H', f'unix://{m.socket}', 'load', '-i', m.dir / 'evil.tar'], capture_output=True, text=True)
    assert 'evil:1' not in r.stdout and r.returncode != 0, r
    (m.dir / 'cut.tar').write_bytes((m.dir / 'demo.tar').read_bytes()[:100000])
    m.docker('load', '-i', m.dir / 'cut.tar', ok=False)
    assert m.docker('images', '-q') == before
    m.until(lambda: not m.works(), 'an empty work folder')


def unmounting(m):
    """The child that unmounts a capsule, stopped; None when it was too quick."""
    with contextlib.suppress(OSError, KeyError):
        for pid in m.children():
            if status_of(pid)['CapEff'] == '000000000020000a':
                os.kill(pid, signal.SIGSTOP)
                m.until(lambda pid=pid: status_of(pid)['State'][0] == 'T', 'a stop')
                return pid
    return None


def test_the_loop_is_free_while_a_capsule_is_unmounted(m):
    """An overlay's unmounting waits for the whole disk."""
    for _ in range(50):
        m.docker('run', '-d', '--name', 'leaving', '--network', 'none', 'demo:1')
        # Whatever waits to be written makes it longer.
        (m.inside('state') / 'dirt').write_bytes(bytes(100 << 20))
        remove = subprocess.Popen([DOCKER, '-H', f'unix://{m.socket}', 'rm', '-f', 'leaving'], stdout=subprocess.PIPE)
        child = None
        while child is None and remove.poll() is None:
            child = unmounting(m)
        if child:
            break
        remove.communicate()
    (m.inside('state') / 'dirt').unlink()
    assert child, 'it was never seen'
    assert m.request('GET', '/_ping')[1] == b'OK'
    assert m.request('GET', '/skerry/v1/status')[0] == 200
    m.docker('run', '-d', '--name', 'coming', '--network', 'none', 'demo:1')
    m.docker('rm', '-f', 'coming')
    assert remove.poll() is None and m.docker('ps', '-aq', '--filter', 'name=leaving') != ''
    os.kill(child, signal.SIGCONT)
    assert remove.communicate()[0] == b'leaving\n'
    assert m.docker('ps', '-aq', '--filter', 'name=leaving') == ''


def ask_as(m, uid, path):
    """Another user's request, from a process of that user."""
    code = ('import socket,sys,os; os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]));'
            's=socket.socket(socket.AF_UNIX); s.connect(sys.argv[2]);'
            's.send(f"GET {sys.argv[3]} HTTP/1.0\\r\\n\\r\\n".encode()); print(s.recv(99).split()[1].decode())')
    return subprocess.run(['python3', '-c', code, str(uid), str(m.socket), path], capture_output=True, text=True,
                          check=True).stdout.strip()


def test_who_may_what(m):
    assert ask_as(m, 0, '/containers/json') == '200'
    assert ask_as(m, 12345, '/containers/json') == '403'
    assert ask_as(m, 12345, '/skerry/v1/status') == '403'
    nobody = 65534
    assert ask_as(m, nobody, '/containers/json') == '403'
    assert ask_as(m, nobody, '/skerry/v1/status') == '200'
    assert ask_as(m, nobody, '/skerry/v1/capsules') == '200'


def test_survives_a_kill(m, web):
    pid = m.docker('inspect', '-f', '{{.State.Pid}}', web)
    m.daemon.kill()
    m.daemon.wait()
    m.start()
    assert m.docker('inspect', '-f', '{{.State.Pid}} {{.State.Status}}', web) == f'{pid} running'
    assert m.docker('images', '--format', '{{.Repository}}') == 'demo'


@pytest.mark.parametrize('end', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_daemon_ends_in_order_and_the_capsules_stay(m, web, end):
    pid = m.docker('inspect', '-f', '{{.State.Pid}}', web)
    m.restart(end)
    assert m.docker('inspect', '-f', '{{.State.Pid}} {{.State.Status}}', web) == f'{pid} running'


def test_halted_until_the_next_start(m, web):
    """By hand and by the daemon's own option, any number of times; what ran is back afterwards."""
    assert m.request('POST', '/skerry/v1/halt')[0] == 204
    halted = subprocess.run(['nsenter', '-t', str(m.space.pid), '-m', str(SKERRYD), '--config', str(m.dir / 'conf'), '--halt'],
                            capture_output=True, text=True, timeout=60)
    assert halted.returncode == 0, halted
    assert json.loads(m.request('GET', '/skerry/v1/status')[1])['halted']
    assert json.loads(m.request('GET', '/skerry/v1/capsules/web')[1])['state'] == 'exited'
    assert 'until skerryd is started again' in m.docker('start', 'web', ok=False)
    m.restart()
    m.until(lambda: json.loads(m.request('GET', '/skerry/v1/capsules/web')[1])['state'] == 'running')
    assert not json.loads(m.request('GET', '/skerry/v1/status')[1])['halted']
