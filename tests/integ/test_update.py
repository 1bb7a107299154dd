# SPDX-License-Identifier: Apache-2.0
"""Upgrades on a real device: skerryd with crun and conmon in a virtual device, no hub."""
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

from fleet import Failed, Fleet, wait_for
from repetition import times

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='virtual devices need root')

STEADY = 'echo "$0 runs"; trap "exit 0" TERM; sleep 100000 & wait'
SICK = 'echo "this one is ill"; trap "exit 0" TERM; sleep 100000 & wait'
DEAD = 'echo "no luck"; exit 3'
CHECK_OK = 'health-check { command = "/bin/test", "-e", "/srv/salt"; interval = "1s"; retries = <2>; };'
CHECK_BAD = 'health-check { command = "/bin/test", "-e", "/nowhere"; interval = "1s"; retries = <2>; };'


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('skerry', timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Desk(Fleet):
    """Keys and images, no hub."""

    def set_up(self):
        self.make_keys()
        return self

    def call(self, method, path, body=None, headers=None):
        c = Unix(self.devices[0].sock)
        c.request(method, '/skerry/v1' + path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, json.loads(data) if data else None

    def apply(self, release):
        return json.loads(self.skerry('release', 'apply', release, '--images', self.images, '--socket', self.devices[0].sock, '--json'))

    def capsules(self):
        return {c['name']: c for c in self.call('GET', '/capsules')[1]}

    def running(self):
        return {c['name']: c['id'] for c in self.call('GET', '/capsules')[1] if c['state'] == 'running'}

    def kill_daemon(self):
        # Its children have its name, and may end by themselves meanwhile.
        for pid in self.devices[0].pids_of('skerryd'):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_daemon(self):
        wait_for('skerryd', lambda: self.call('GET', '/status')[0] == 200)


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path / 'desk') as d:
        d.add_device('dev', link=False)
        d.wait_daemon()
        for name in ('alpha', 'beta', 'gamma'):
            d.capsule(name, STEADY)
        yield d


APPS = {'alpha': '', 'beta': CHECK_OK, 'gamma': ''}


def test_upgrade_and_return(desk):
    assert desk.call('GET', '/update')[1]['step'] == 'idle'
    one = desk.apply(desk.release('1.0', APPS, 'supervision { alpha = "beta"; };'))
    assert (one['step'], one['generation'], one['version']) == ('good', 1, '1.0')
    before = desk.running()
    assert set(before) == set(APPS)

    desk.capsule('gamma', STEADY, salt='2')
    release = desk.release('2.0', APPS, 'supervision { alpha = "beta"; };')
    assert desk.apply(release)['step'] == 'good'
    after = desk.running()
    assert after['alpha'] == before['alpha'] and after['beta'] == before['beta'] and after['gamma'] != before['gamma']
    assert set(desk.capsules()) == set(APPS)

    # Broken in three ways; each time the device is back in generation 2, and says why.
    for version, script, node, words in (('3.0', DEAD, 'restart-max = <2>;', 'alpha'), ('3.1', SICK, CHECK_BAD, 'alpha is unhealthy'),
                                         ('3.2', STEADY, 'command = "/not/there";', 'alpha')):
        desk.capsule('alpha', script, salt=version)
        with pytest.raises(Failed) as e:
            desk.apply(desk.release(version, dict(APPS, alpha=node), release_extra=''))
        assert words in e.value.text and 'was undone' in e.value.text
        assert desk.running() == after
        status = desk.call('GET', '/status')[1]
        assert status['generation']['version'] == '2.0' and status['good']['version'] == '2.0'
        assert status['update']['step'] == 'bad' and words in status['update']['reason']
    states = [g['state'] for g in desk.call('GET', '/generations')[1]]
    assert states.count('good') == 2 and states[-1] == 'bad'
    # The same bad release once more is tried once more.
    with pytest.raises(Failed):
        desk.apply(desk.release('3.2', dict(APPS, alpha='command = "/not/there";')))
    assert '/srv/main.sh runs' in desk.skerry('capsule', 'logs', 'gamma', '--socket', desk.devices[0].sock)


def test_commands_for_people(desk):
    sock = ('--socket', desk.devices[0].sock)
    bundle = desk.dir / 'one.skb'
    desk.release('1.0', APPS)
    desk.skerry('release', 'build', desk.dir / 'manifest-1.0.dts', '--images', desk.images, '--key', desk.keys / 'builder.key', '--cert',
                desk.keys / 'builder.pem', '-o', desk.dir / 'again.skr', '--bundle', bundle)
    assert 'generation 1, good' in desk.skerry('release', 'apply', bundle, *sock)
    assert 'station 1.0, good' in desk.skerry('status', *sock)
    assert 'good: generation 1' in desk.skerry('release', 'status', *sock)
    assert 'station' in desk.skerry('release', 'list', *sock)
    assert 'good, running' in desk.skerry('generation', 'list', *sock)
    assert '3 images checked, 0 damaged' in desk.skerry('store', 'verify', *sock)
    assert len(json.loads(desk.skerry('store', 'list', '--json', *sock))) == 3
    desk.skerry('capsule', 'stop', 'alpha', *sock)
    assert set(desk.running()) == {'beta', 'gamma'}
    desk.skerry('capsule', 'start', 'alpha', *sock)
    desk.skerry('capsule', 'restart', 'beta', *sock)
    assert set(desk.running()) == set(APPS)
    assert 'alpha' in desk.skerry('capsule', 'list', *sock)


def test_refusals_store_nothing(desk):
    desk.apply(desk.release('2.0', APPS))
    good = desk.release('2.5', APPS)
    der = good.read_bytes()

    def post(data):
        status, answer = desk.call('POST', '/releases', data)
        return status, answer.get('error')

    flipped = bytearray(der)
    flipped[len(der) // 2] ^= 1
    assert post(bytes(flipped))[0] in (400, 403)
    assert post(der[:-10])[0] == 400
    assert post(der + b'x')[0] == 400
    assert post(b'')[0] == 400
    assert post(b'x' * 9_000_000)[0] == 413
    assert post(desk.release('1.0', APPS).read_bytes()) == (403, 'downgrade')
    other = Desk(desk.dir / 'other')
    other.make_keys()
    keys, desk.keys = desk.keys, other.keys
    assert post(desk.release('3.1', APPS).read_bytes()) == (403, 'untrusted')
    desk.keys = keys
    for version, words, replaced, error in (('3.3', 'compatible = "skerry,virtual"', 'compatible = "acme,boat"', 'wrong-device'),
                                            ('3.4', 'project = "station"', 'project = "harbour"', 'wrong-device')):
        dts = desk.dir / f'manifest-{version}.dts'
        desk.release(version, APPS)
        dts.write_text(dts.read_text().replace(words, replaced))
        desk.skerry('release', 'build', dts, '--images', desk.images, '--key', desk.keys / 'builder.key', '--cert', desk.keys / 'builder.pem',
                    '-o', desk.dir / 'other.skr')
        assert post((desk.dir / 'other.skr').read_bytes()) == (403, error)
        (desk.dir / 'other.skr').unlink()
    with pytest.raises(Failed):
        desk.apply(desk.release('3.2', APPS, 'system { image = "alpha.itb"; };'))
    ids = {r['version'] for r in desk.call('GET', '/releases')[1]} - {'2.0'}
    assert ids == set()
    assert desk.call('GET', '/status')[1]['generation']['version'] == '2.0'

    # The signer is revoked: the device hears of it, and takes nothing of his any more; what runs goes on.
    desk.skerry('key', 'revoke', 'builder', '--dir', desk.keys)
    crl = (desk.keys / 'crl.pem').read_bytes()
    assert desk.call('PUT', '/trust/crl', crl) == (200, {'changed': True})
    assert desk.call('PUT', '/trust/crl', crl) == (200, {'changed': False})
    assert post(der) == (403, 'revoked')
    desk.kill_daemon()
    desk.wait_daemon()
    assert post(der) == (403, 'revoked')
    wait_for('all capsules', lambda: set(desk.running()) == set(APPS))
    assert [r['version'] for r in desk.call('GET', '/releases')[1]] == ['2.0']


def test_uploads(desk):
    data = (desk.images / 'alpha.itb').read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    url = f'/images/{digest}'
    assert desk.call('PUT', url + '?offset=0', data)[0] == 404, 'nobody asked for it'
    release = desk.call('POST', '/releases', desk.release('1.0', {'alpha': ''}).read_bytes())[1]
    assert release['images'] == [{'digest': digest, 'size_bytes': len(data), 'have': False, 'offset': 0, 'name': 'alpha.itb'}]
    assert desk.call('POST', f'/releases/{release["id"]}/apply')[0] == 409

    half = len(data) // 2
    assert desk.call('PUT', url + '?offset=0', data[:half]) == (200, {'offset': half, 'complete': False})
    assert desk.call('PUT', url + '?offset=0', data)[0] == 409
    assert desk.call('PUT', url + f'?offset={half}', data[half:] + b'too much')[0] == 413
    assert desk.call('PUT', url + '?offset=-1', data)[0] == 400
    assert desk.call('PUT', '/images/zz?offset=0', data)[0] == 400
    assert desk.call('GET', url)[1]['have'] is False

    # 5 GiB are announced: refused before a byte of them comes.
    have = desk.call('GET', url)[1]['offset']
    c = Unix(desk.devices[0].sock)
    c.putrequest('PUT', '/skerry/v1' + url + f'?offset={have}')
    c.putheader('Content-Length', str(5 << 30))
    c.endheaders()
    assert c.getresponse().status == 413
    c.close()
    assert desk.call('GET', url)[1]['offset'] == have

    # A peer that goes away leaves what it sent; the daemon's end does too.
    have = desk.call('GET', url)[1]['offset']
    c = Unix(desk.devices[0].sock)
    c.putrequest('PUT', '/skerry/v1' + url + f'?offset={have}')
    c.putheader('Content-Length', str(len(data) - have))
    c.endheaders()
    c.send(data[have:have + 20000])
    wait_for('the bytes', lambda: desk.call('GET', url)[1]['offset'] > have)
    assert desk.call('PUT', url + f'?offset={have + 20000}', data[have + 20000:])[0] == 409, 'two at once'
    desk.kill_daemon()
    c.close()
    desk.wait_daemon()
    have = desk.call('GET', url)[1]['offset']
    assert 0 < have < len(data)

    # One wrong byte: refused as a whole; then it works from the start.
    wrong = bytearray(data)
    wrong[-1] ^= 1
    status, answer = desk.call('PUT', url + f'?offset={have}', bytes(wrong[have:]))
    assert (status, answer['error']) == (400, 'digest-mismatch')
    assert desk.call('GET', url)[1] == {'digest': digest, 'size_bytes': len(data), 'have': False, 'offset': 0}
    assert desk.call('PUT', url, data) == (200, {'offset': len(data), 'complete': True})
    assert desk.call('PUT', url, data) == (200, {'offset': len(data), 'complete': True})
    assert desk.call('POST', f'/releases/{release["id"]}/apply') == (202, {'generation': 1})


def test_no_space(tmp_path):
    """A release that claims more than there is room for is refused before any byte."""
    with Desk(tmp_path / 'desk') as desk:
        desk.add_device('dev', link=False, size='64M')
        desk.wait_daemon()
        claims_too_much(desk)


def claims_too_much(desk):
    desk.capsule('alpha', STEADY)
    big = desk.images / 'big.itb'
    desk.apply(desk.release('1.0', {'alpha': ''}))
    root = desk.dir / 'root-big'
    root.mkdir()
    (root / 'noise').write_bytes(os.urandom(80 << 20))
    desk.skerry('capsule', 'build', root, '--name', 'big', '--command', '/noise', '-o', big)
    status, answer = desk.call('POST', '/releases', desk.release('2.0', {'alpha': '', 'big': ''}).read_bytes())
    assert (status, answer['error']) == (507, 'no-space')
    assert [r['version'] for r in desk.call('GET', '/releases')[1]] == ['1.0']


def test_damaged_image_is_found_and_replaced(desk):
    desk.apply(desk.release('1.0', APPS))
    data = (desk.images / 'alpha.itb').read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    before = desk.running()
    path = f'/var/lib/skerry/store/images/{digest}'
    desk.devices[0].exec('/bin/sh', '-c', f'cp {path} {path}.x && printf X | dd of={path}.x bs=1 seek=9000 conv=notrunc 2>/dev/null && mv {path}.x {path}')
    status, report = desk.call('POST', '/store/verify')
    assert (status, report['checked'], report['damaged']) == (200, 3, [digest])
    missing = desk.call('GET', '/status')[1]['missing']
    assert [m['digest'] for m in missing] == [digest]
    assert desk.call('PUT', f'/images/{digest}?offset=0', data)[0] == 200
    assert desk.call('GET', '/status')[1]['missing'] == []
    wait_for('the capsule', lambda: desk.running() == before)
    report = desk.call('POST', '/store/verify')[1]
    assert (report['checked'], report['damaged'], report['releases']) == (3, [], {'checked': 1, 'damaged': []})


def test_daemon_killed_at_any_moment(desk):
    rng = random.Random(11)
    desk.apply(desk.release('1.0', APPS))
    good = '1.0'
    for n in range(2, times(5, 14)):
        version, broken = f'{n}.0', n % 3 == 0
        changed = rng.choice(list(APPS))
        desk.capsule(changed, DEAD if broken else STEADY, salt=version)
        release = desk.release(version, {a: ('restart-max = <2>; ' if broken and a == changed else '') + m for a, m in APPS.items()})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            done = pool.submit(desk.run, *[str(a) for a in (
                os.environ.get('SKERRY_BUILD', 'build') + '/src/cli/skerry', 'release', 'apply', release, '--images', desk.images, '--socket',
                desk.devices[0].sock, '--no-wait')])
            for _ in range(4):
                time.sleep(rng.uniform(0.01, 0.6))
                desk.kill_daemon()
            try:
                done.result()
            except Failed:
                pass
        desk.wait_daemon()
        if desk.call('GET', '/generations')[1][-1]['version'] != version:
            desk.skerry('release', 'apply', release, '--images', desk.images, '--socket', desk.devices[0].sock, '--no-wait')

        def ended():
            g = next((g for g in desk.call('GET', '/generations')[1] if g['version'] == version), {'state': None})
            step = desk.call('GET', '/update')[1]['step']
            return g['state'] in ('good', 'bad') and step in ('good', 'bad') and g
        g = wait_for(f'the end of {version}', ended, 180)
        assert g['state'] == ('bad' if broken else 'good'), g
        good = good if broken else version
        assert desk.call('GET', '/status')[1]['generation']['version'] == good
        wait_for('all capsules', lambda: set(desk.running()) == set(APPS) and len(desk.call('GET', '/capsules')[1]) == 3)
        if broken:
            desk.capsule(changed, STEADY, salt=version + 'mended')


def test_ephemeral_ends_with_a_power_cut(desk):
    desk.apply(desk.release('1.0', APPS))
    desk.capsule('alpha', STEADY, salt='2')
    release = desk.release('2.0', APPS)
    dts = desk.dir / 'manifest-2.0.dts'
    dts.write_text(dts.read_text().replace('persistent-boot;', ''))
    desk.skerry('release', 'build', dts, '--images', desk.images, '--key', desk.keys / 'builder.key', '--cert', desk.keys / 'builder.pem', '-o',
                desk.dir / 'eph.skr')
    release = desk.dir / 'eph.skr'
    assert desk.apply(release)['version'] == '2.0'
    assert desk.call('GET', '/status')[1]['generation']['ephemeral'] is True
    desk.kill_daemon()
    desk.wait_daemon()
    assert desk.call('GET', '/status')[1]['generation']['version'] == '2.0'
    desk.devices[0].power_cut()
    desk.devices[0].start()
    desk.wait_daemon()
    assert desk.call('GET', '/status')[1]['generation']['version'] == '1.0'
    wait_for('all capsules', lambda: set(desk.running()) == set(APPS))


def test_only_those_who_may(desk):
    """The agent's user may take releases in, but not run capsules or read the Docker API."""
    sock = desk.devices[0].sock
    script = ('import http.client,socket,sys,os\n'
              'os.setgid(64100);os.setuid(int(sys.argv[1]))\n'
              'for m,p in (("GET","/skerry/v1/status"),("POST","/skerry/v1/capsules/x/stop"),("POST","/skerry/v1/store/verify"),("GET","/containers/json")):\n'
              '  s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[2])\n'
              '  s.sendall(f"{m} {p} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n".encode())\n'
              '  print(s.recv(100).split()[1].decode())\n')

    def codes(uid):
        path = sock.parent
        while path != path.parent:  # the folders above are only for root
            os.chmod(path, os.stat(path).st_mode | 0o111)
            path = path.parent
        return subprocess.run(['/usr/bin/python3', '-c', script, str(uid), str(sock)], capture_output=True, text=True, check=True).stdout.split()
    assert codes(65000) == ['403'] * 4


def test_answers_are_as_described(desk):
    yaml = pytest.importorskip('yaml')
    jsonschema = pytest.importorskip('jsonschema')
    from fleet import TOP
    api = yaml.safe_load((TOP / 'docs/reference/skerryd-api.yaml').read_text())

    def check(value, name, many=False):
        schema = {'$ref': f'#/components/schemas/{name}', 'components': api['components']}
        for v in value if many else [value]:
            jsonschema.validate(v, schema)

    def look():
        check(desk.call('GET', '/status')[1], 'Status')
        check(desk.call('GET', '/update')[1], 'Update')
        check(desk.call('GET', '/generations')[1], 'Generation', True)
        check(desk.call('GET', '/releases')[1], 'Release', True)
        check(desk.call('GET', '/images')[1], 'Image', True)
    look()
    desk.apply(desk.release('1.0', APPS))
    look()
    desk.capsule('alpha', DEAD)
    with pytest.raises(Failed):
        desk.apply(desk.release('2.0', dict(APPS, alpha='restart-max = <1>;')))
    look()
    check(desk.call('GET', '/releases/' + '0' * 64)[1], 'Error')
