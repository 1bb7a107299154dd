# SPDX-License-Identifier: Apache-2.0
"""The agent alone: between a hub and a skerryd that are both fakes, so that each can misbehave."""
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from fake_hub import FakeHub
from fake_skerryd import FakeSkerryd
from repetition import times

BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', pathlib.Path(__file__).resolve().parents[2] / 'build'))
AGENT = BUILD / 'src/agent/skerry-agent'
FREE_STEP_BYTES = 256 << 20  # of agent/inventory.c


def wait_for(what, probe, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := probe():
            return answer
        time.sleep(0.03)
    raise AssertionError(f'{what} did not come')


class World:
    def __init__(self, folder, tls=None, **settings):
        self.dir = folder
        self.hub = FakeHub(tls)
        self.device = FakeSkerryd(folder / 'sock')
        self.conf = folder / 'agent.conf'
        self.settings = {'hub': self.hub.url, 'name': 'dev', 'compatible': 'acme,one acme,any', 'state-dir': folder / 'state',
                         'socket': folder / 'sock', 'poll': '2s', 'retry-min': '20ms', 'retry-max': '300ms',
                         'inventory': '1s', **{k.replace('_', '-'): v for k, v in settings.items()}}
        self.log = open(folder / 'log', 'ab')
        self.agent = None

    def start(self):
        self.conf.write_text(''.join(f'{k} = {v}\n' for k, v in self.settings.items()))
        self.agent = subprocess.Popen([AGENT, '-vv', '-c', self.conf], stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=self.log)
        return self

    def kill(self):
        self.agent.send_signal(signal.SIGKILL)
        self.agent.wait()

    def stop(self):
        if self.agent:
            self.kill()
        self.hub.stop()
        self.device.stop()

    def logged(self):
        return (self.dir / 'log').read_text()

    def give_release(self, job='job-1', sizes=(3000000, 100000), version='1'):
        images = [random.Random(f'{version}{i}').randbytes(n) for i, n in enumerate(sizes)]
        digests = [hashlib.sha256(i).hexdigest() for i in images]
        skr = json.dumps({'version': version, 'images': [[d, len(i)] for d, i in zip(digests, images)]}).encode()
        id = hashlib.sha256(skr).hexdigest()
        self.hub.releases[id] = skr
        self.hub.images.update(zip(digests, images))
        self.hub.job = {'id': job, 'kind': 'release', 'release': id, 'size_bytes': sum(sizes)}
        return id, digests

    def final(self, job='job-1', seconds=90):
        return wait_for('the final report',
                        lambda: next((r for j, r in self.hub.reports if j == job and r['step'] in ('done', 'failed')), None),
                        seconds)


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.stop()


def test_enrols_and_shows_itself(world):
    world.start()
    inventory = wait_for('inventory', lambda: world.hub.inventories)[0]
    assert world.hub.enrolled['name'] == 'dev'
    assert world.hub.enrolled['compatible'] == ['acme,one', 'acme,any']
    assert inventory['kernel'] == os.uname().release and inventory['skerryd'] == 'fake'
    key = world.dir / 'state/device.key'
    assert key.stat().st_mode & 0o777 == 0o600
    out = subprocess.run([AGENT, '-c', world.conf, '--id'], capture_output=True, text=True, check=True).stdout
    assert out.strip() == world.hub.device
    time.sleep(2.5)
    # Others write to the same disk meanwhile: what is free of it comes in steps, and a step is worth a message.
    free = [i['disk']['free_bytes'] for i in world.hub.inventories]
    assert all(x % FREE_STEP_BYTES == 0 for x in free)
    assert all(x != y for x, y in zip(free, free[1:])), 'sent again although nothing changed'


def test_waits_until_it_is_accepted(world):
    world.hub.status = 'pending'
    world.start()
    wait_for('enrolment', lambda: world.hub.enrolled)
    time.sleep(0.5)
    assert world.hub.sessions == 0
    world.hub.status = 'accepted'
    wait_for('a session', lambda: world.hub.sessions == 1)


def test_token_from_a_file(tmp_path):
    (tmp_path / 'token').write_text('s3cret\n')
    w = World(tmp_path, token_file=tmp_path / 'token', organisation='acme')
    w.hub.status, w.hub.want_token = 'pending', 's3cret'
    w.start()
    wait_for('a session', lambda: w.hub.sessions == 1)
    assert w.hub.enrolled['organisation'] == 'acme'
    w.stop()


def test_a_release(world):
    world.start()
    id, digests = world.give_release()
    assert world.final()['step'] == 'done'
    assert world.device.have == set(digests)
    assert world.device.generations[0]['release'] == id
    steps = world.hub.steps('job-1')
    assert steps[0] == 'received' and steps[-1] == 'done' and 'applying' in steps and 'settling' in steps
    assert not (world.dir / 'state/job.json').exists() or wait_for('no job', lambda: not (world.dir / 'state/job.json').exists())


def test_a_bad_release_is_reported_with_its_reason(world):
    world.device.verdict = ('bad', 'capsule web is unhealthy: HTTP 500')
    world.start()
    world.give_release()
    assert world.final() == {'step': 'failed', 'reason': 'capsule web is unhealthy: HTTP 500', 'bytes_done': 3100000,
                             'bytes_total': 3100000}


def test_a_refused_release_fails_at_once(world):
    world.device.refuse = ('untrusted', 'not signed by anybody here')
    world.start()
    world.give_release()
    final = world.final()
    assert final['step'] == 'failed' and final['reason'] == 'not signed by anybody here'
    assert world.device.applied == 0


@pytest.mark.parametrize('ranges', [True, False])
def test_cut_downloads_go_on_where_they_were(world, ranges):
    world.hub.cut_after, world.hub.no_ranges = 700000, not ranges
    if not ranges:
        world.hub.cut_after = 0
        world.hub.slow_s = 0.02
    world.start()
    world.give_release()
    if not ranges:
        wait_for('some bytes', lambda: world.hub.image_bytes > 500000)
        world.kill()
        world.hub.slow_s = 0
        world.start()
    assert world.final()['step'] == 'done'
    if ranges:
        assert world.hub.image_starts[:4] == [0, 700000, 1400000, 2100000]
        assert world.hub.image_bytes == 3100000


def test_wrong_bytes_are_fetched_again_but_not_for_ever(world):
    world.hub.wrong_bytes = 1
    world.start()
    world.give_release()
    assert world.final()['step'] == 'done'
    world.hub.wrong_bytes = 1000
    world.give_release('job-2', version='2')
    assert world.final('job-2')['step'] == 'failed'
    assert 'damaged' in world.final('job-2')['reason']


def test_hub_errors_and_absence(world):
    world.hub.fail = {'/device/v1/releases': 3, '/device/v1/images': 3, '/device/v1/session': 2, '/device/v1/challenge': 2}
    world.start()
    world.give_release()
    assert world.final()['step'] == 'done'
    world.hub.stop()
    time.sleep(0.5)
    world.hub.start()
    world.give_release('job-2', version='2')
    assert world.final('job-2')['step'] == 'done'


def test_hub_without_the_image_ends_the_job(world):
    world.start()
    _, digests = world.give_release()
    world.hub.job, job = None, world.hub.job
    del world.hub.images[digests[1]]
    world.hub.job = job
    assert world.final()['step'] == 'failed'


def test_lost_session_is_renewed(world):
    world.start()
    wait_for('a session', lambda: world.hub.sessions == 1)
    world.hub.token = 'another'
    world.give_release()
    assert world.final()['step'] == 'done'
    assert world.hub.sessions >= 2


def test_skerryd_restart_during_download(world):
    world.hub.slow_s = 0.01
    world.start()
    world.give_release()
    wait_for('some bytes', lambda: world.hub.image_bytes > 500000)
    world.device.stop()
    time.sleep(0.3)
    world.device.start()
    assert world.final()['step'] == 'done'


def test_kills_at_any_moment_apply_once(world):
    rng = random.Random(4)
    world.hub.slow_s = 0.002
    jobs = times(4, 16)
    for n in range(jobs):
        job = f'job-{n}'
        world.device.verdict = ('bad', f'reason {n}') if n % 3 == 2 else ('good', '')
        world.start()
        world.give_release(job, version=str(n), sizes=(2000000,))
        for _ in range(4):
            time.sleep(rng.uniform(0.02, 0.35))
            world.kill()
            world.start()
        final = world.final(job)
        assert (final['step'], final['reason']) == (('failed', f'reason {n}') if n % 3 == 2 else ('done', ''))
        world.kill()
        assert world.device.applied == n + 1
    ends = [j for j, r in world.hub.reports if r['step'] in ('done', 'failed')]
    assert set(ends) == {f'job-{n}' for n in range(jobs)}


def test_damaged_image_of_the_running_release_is_fetched_again(world):
    world.start()
    _, digests = world.give_release()
    world.final()
    world.device.damage(digests[0])
    wait_for('repair', lambda: not world.device.damaged)


def test_damaged_release_file_is_fetched_again(world):
    """Without a job; then what it names, which only skerryd can tell once it has the file."""
    world.start()
    release, digests = world.give_release()
    world.final()
    world.device.damage(digests[0])
    world.device.lost.add(release)
    wait_for('repair', lambda: not world.device.lost and not world.device.damaged)


def test_what_the_hub_cannot_give_is_not_asked_for_for_ever(world):
    """One that the hub does not have, one that it gives another file for, an image that is wrong there too."""
    world.hub.hold_s = 0.05
    world.start()
    release, digests = world.give_release()
    world.final()
    unknown = '7' * 64
    swapped = '8' * 64
    world.hub.releases[swapped] = world.hub.releases[release]
    world.hub.images[digests[0]] = b'rotten' + world.hub.images[digests[0]][6:]
    world.device.damage(digests[0])
    world.device.lost |= {unknown, swapped}
    polls = world.hub.polls
    wait_for('many rounds', lambda: world.hub.polls > polls + 8)
    asked = [p for _, p in world.hub.requests]
    for path in (f'/device/v1/releases/{unknown}', f'/device/v1/releases/{swapped}'):
        assert asked.count(path) == 1, asked
    assert len([p for p in asked if p == f'/device/v1/images/{digests[0]}']) == 2
    # The next session may know better.
    world.hub.token = None
    wait_for('another try', lambda: [p for _, p in world.hub.requests].count(f'/device/v1/releases/{unknown}') == 2)


def test_logs_and_inventory_on_request(world):
    world.start()
    wait_for('inventory', lambda: world.hub.inventories)
    world.hub.job = {'id': 'log-1', 'kind': 'logs', 'capsule': 'web', 'tail': 5}
    assert world.final('log-1')['step'] == 'done'
    assert world.hub.logs[0]['capsule'] == 'web' and 'log of web' in world.hub.logs[0]['text']
    world.hub.job = {'id': 'log-2', 'kind': 'logs', 'capsule': '../../etc/passwd', 'tail': 5}
    world.final('log-2')
    assert 'names no capsule' in world.hub.logs[1]['text']
    world.hub.job = {'id': 'inv-1', 'kind': 'inventory'}
    assert world.final('inv-1')['step'] == 'done'
    assert len(world.hub.inventories) >= 2


@pytest.mark.parametrize('job', [
    {'id': '../../x', 'kind': 'release', 'release': '0' * 64}, {'id': 'j', 'kind': 'release', 'release': 'zz'}, {'id': 'j'},
    {'kind': 'logs'}, {}, [], 'x', {'id': 'j', 'kind': 'x' * 100}, {'id': 5, 'kind': 'release', 'release': None}])
def test_hostile_jobs_do_no_harm(world, job):
    world.hub.job = job
    world.start()
    time.sleep(0.6)
    assert world.agent.poll() is None
    assert world.device.applied == 0
    world.give_release('good-one')
    assert world.final('good-one')['step'] == 'done'


@pytest.mark.plain
def test_huge_answers_are_bounded(world):
    world.hub.releases['0' * 64] = b'x' * 100_000_000
    world.hub.job = {'id': 'huge', 'kind': 'release', 'release': '0' * 64}
    world.start()
    assert world.final('huge')['step'] == 'failed'
    rss = int(next(l for l in open(f'/proc/{world.agent.pid}/status') if l.startswith('VmRSS')).split()[1])
    assert rss < 80000


def test_damaged_state_file_is_survived(world):
    (world.dir / 'state').mkdir()
    (world.dir / 'state/job.json').write_text('{"id": "x", "release"')
    world.start()
    world.give_release()
    assert world.final()['step'] == 'done'


def offer(world, issuer, number, by='root', raw=None, claimed=None):
    """The hub gets a list, and says so at the next poll."""
    data = raw if raw is not None else json.dumps({'issuer': issuer, 'number': number, 'by': by}).encode()
    world.hub.crls[hashlib.sha256(issuer.encode()).hexdigest()] = {'issuer': issuer, 'number': claimed or number, 'bytes': data}
    world.hub.crl_version += 1
    world.hub.crl_due = True


def reported(world, version=None):
    return wait_for('the report', lambda: next((r for r in world.hub.crl_reports
                                                if r['version'] == (version or world.hub.crl_version)), None))


def test_revocation_lists_are_carried(world):
    world.device.crls['one'] = 1
    offer(world, 'one', 3)
    offer(world, 'two', 1)
    world.start()
    got = {c['issuer']: c['number'] for c in reported(world)['crls']}
    assert got == {'one': 3, 'two': 1} and world.device.crls == got
    puts = world.device.crl_puts
    offer(world, 'one', 4)
    assert {c['issuer']: c['number'] for c in reported(world)['crls']} == {'one': 4, 'two': 1}
    assert world.device.crl_puts == puts + 1, 'only what is newer is carried'


def test_old_lists_are_not_even_fetched(world):
    world.device.crls['one'] = 9
    offer(world, 'one', 3)
    world.start()
    assert [c['number'] for c in reported(world)['crls']] == [9]
    assert world.hub.crl_fetches == 0 and world.device.crls['one'] == 9


@pytest.mark.parametrize('raw,by,words', [
    (None, 'mallory', 'none of the trusted roots'), (b'garbage', 'root', 'not one whole list'), (b'', 'root', 'not one whole list'),
    (b'x' * 3_000_000, 'root', 'more than expected')], ids=['forged', 'garbage', 'empty', 'endless'])
def test_lists_that_the_hub_made_up_do_no_harm(world, raw, by, words):
    """Forged, garbage, empty, endless: the device keeps what it has, the hub hears why, and work goes on."""
    world.device.crls['one'] = 5
    offer(world, 'one', 99, by=by, raw=raw)
    world.start()
    row = next(c for c in reported(world)['crls'] if c['issuer'] == 'one')
    assert row['number'] == 5 and words in row['refused'], row
    assert world.device.crls == {'one': 5}
    world.give_release()
    assert world.final()['step'] == 'done'


def test_a_list_comes_before_a_release(world):
    """Both wait when the device comes back: first who was revoked, then what they may have signed."""
    offer(world, 'one', 2)
    world.give_release()
    world.start()
    assert world.final()['step'] == 'done'
    paths = [p for m, p in world.hub.requests]
    assert paths.index('/device/v1/crls') < next(i for i, p in enumerate(paths) if p.startswith('/device/v1/releases/'))


def test_killed_while_lists_are_carried(world):
    rng = random.Random(9)
    for number in range(1, 6):
        offer(world, 'one', number)
        world.start()
        time.sleep(rng.uniform(0.0, 0.15))
        world.kill()
    world.start()
    wait_for('the newest list', lambda: world.device.crls.get('one') == 5)
    assert [c['number'] for c in reported(world)['crls']] == [5]


def test_trouble_with_lists_does_not_stop_work(world):
    world.hub.fail = {'/device/v1/crls': 10 ** 6}
    world.start()
    world.give_release()
    assert world.final()['step'] == 'done'
    world.hub.fail = {}
    offer(world, 'one', 2)
    wait_for('the list', lambda: world.device.crls.get('one') == 2)


def test_a_hub_that_answers_at_once_is_not_asked_all_the_time(world):
    """It does not hold polls, or tells the same news for ever: the device does not spin."""
    world.settings['retry-min'] = '1s'
    world.settings['retry-max'] = '1s'
    world.hub.hold_s = 0
    world.start()
    wait_for('polls', lambda: world.hub.polls >= 9)
    before = world.hub.polls
    time.sleep(1)
    assert world.hub.polls - before < 30, 'thousands without a pause'
    world.kill()
    world.hub.hold_s, world.hub.crl_nags = 2, True
    before = world.hub.polls
    world.start()
    wait_for('polls', lambda: world.hub.polls >= before + 2)
    before = world.hub.polls
    time.sleep(1)
    assert world.hub.polls - before < 30
    world.kill()
    world.hub.crl_nags, world.hub.keep_job = False, True
    world.hub.job = {'id': 'again', 'kind': 'logs', 'capsule': 'web', 'tail': 5}
    world.start()
    wait_for('logs', lambda: world.hub.logs)
    before = len(world.hub.logs)
    time.sleep(1)
    assert len(world.hub.logs) - before < 30


def test_many_jobs_that_wait_are_done(world):
    world.start()
    for n in range(20):
        world.hub.job = {'id': f'log-{n}', 'kind': 'logs', 'capsule': 'web', 'tail': 5}
        world.final(f'log-{n}')


def test_a_log_that_the_hub_does_not_take_ends_its_job(world):
    """Else the release behind it would wait for ever."""
    world.hub.refuse['/device/v1/logs'] = (413, 'too-large')
    world.hub.job = {'id': 'big', 'kind': 'logs', 'capsule': 'web', 'tail': 5}
    world.start()
    assert world.final('big')['step'] == 'failed'
    world.give_release()
    assert world.final()['step'] == 'done'


def test_a_job_that_the_hub_forgot_is_let_go(world):
    """Deleted there while the device was at it: the next one is not held up."""
    world.hub.slow_s = 0.01
    world.start()
    world.give_release()
    wait_for('some bytes', lambda: world.hub.image_bytes > 200000)
    world.hub.refuse['/device/v1/jobs/job-1'] = (404, 'not-found')
    world.hub.job = None
    world.give_release('job-2', version='2')
    assert world.final('job-2')['step'] == 'done'


@pytest.mark.parametrize('status', [413, 400, 500, 507])
def test_an_inventory_that_the_hub_does_not_take_stops_nothing(world, status):
    world.hub.refuse['/device/v1/inventory'] = (status, 'x')
    world.start()
    world.give_release()
    assert world.final()['step'] == 'done'


def test_redirects_are_not_followed_and_not_believed(world):
    elsewhere = FakeHub()
    world.hub.refuse['/device/v1/releases/'] = (302, elsewhere.url + '/device/v1/releases/x')
    world.start()
    world.give_release()
    wait_for('the attempt', lambda: '302' in world.logged())
    assert not elsewhere.requests and world.device.applied == 0
    world.hub.refuse.clear()
    assert world.final()['step'] == 'done', 'and it was not the end of the job'
    elsewhere.stop()


@pytest.mark.parametrize('shift', [0, 1])
def test_long_reasons_are_cut_between_characters(world, shift):
    """A reason cut in the middle of one could be neither saved nor reported: the job would never end."""
    world.device.verdict = ('bad', 'x' * shift + '\u00e9' * 600)
    world.start()
    world.give_release()
    final = world.final()
    assert final['step'] == 'failed' and final['reason'].strip('x\u00e9') == '' and len(final['reason']) > 200


def make_ca(folder, name):
    run = lambda *a: subprocess.run(a, check=True, capture_output=True, cwd=folder)
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', f'{name}-ca.key',
        '-out', f'{name}-ca.pem', '-subj', f'/CN={name}', '-days', '2')
    run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', f'{name}.key', '-out',
        f'{name}.csr', '-subj', '/CN=localhost')
    (folder / 'ext').write_text('subjectAltName=DNS:localhost\n')
    run('openssl', 'x509', '-req', '-in', f'{name}.csr', '-CA', f'{name}-ca.pem', '-CAkey', f'{name}-ca.key', '-CAcreateserial',
        '-out', f'{name}.pem', '-days', '2', '-extfile', 'ext')
    return folder / f'{name}.pem', folder / f'{name}.key', folder / f'{name}-ca.pem'


def test_only_the_given_authority_is_believed(tmp_path):
    cert, key, ca = make_ca(tmp_path, 'right')
    _, _, other = make_ca(tmp_path, 'other')
    w = World(tmp_path, tls=(cert, key), ca_file=other)
    w.start()
    wait_for('refusal', lambda: 'not who it claims to be' in w.logged())
    assert not w.hub.requests
    w.kill()
    w.settings['ca-file'] = ca
    w.start()
    w.give_release()
    assert w.final()['step'] == 'done'
    w.stop()


def test_mistakes_in_the_settings_are_named(tmp_path):
    conf = tmp_path / 'c'
    for text, word in (('', 'where the hub is'), ('hub = https://x\nfoo = 1', 'there is no setting "foo"'), ('hub = ftp://x', 'not an address'),
                       ('hub = https://x\npoll = soon', 'is no time'), ('hub = http://x', 'without https'),
                       ('hub = http://127.0.0.1.evil.example', 'without https'), ('hub = http://localhost@evil', 'without https')):
        conf.write_text(text + f'\nstate-dir = {tmp_path}/s\n')
        r = subprocess.run([AGENT, '-c', conf], capture_output=True, text=True, timeout=60)
        assert r.returncode != 0 and word in r.stderr, r.stderr
