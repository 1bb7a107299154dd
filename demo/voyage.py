#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The voyage that ./run shows: from a desk through a hub to a virtual device, and safely back.

Each step does one thing through the same commands that a person would type, and checks it.
"""
import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
SKERRY = BUILD / 'src/cli/skerry'
HUB = BUILD / 'src/hub/skerry-hub'
DEMO = TOP / 'demo'
SUDO = [] if os.geteuid() == 0 else ['sudo']
COLOUR = sys.stdout.isatty()
PACKAGES = {'web': 'nginx-light', 'broker': 'mosquitto', 'meter': 'busybox-static'}


class Stop(Exception):
    """A step failed; the sentence says which check."""


def bold(text):
    return f'\033[1m{text}\033[0m' if COLOUR else text


def human(n):
    for unit in ('B', 'KiB', 'MiB'):
        if n < 1024:
            return f'{n:.0f} {unit}' if unit == 'B' else f'{n:.1f} {unit}'
        n /= 1024
    return f'{n:.1f} GiB'


def free_port(wish):
    """The port that people expect, or another one where that is taken."""
    for port in (wish, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise Stop('no free port')


def wait_for(what, seconds, probe):
    """Asks every 0.2 s until the probe gives something; its answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = probe()
            if answer:
                return answer
        except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
            pass
        if time.monotonic() > end:
            raise Stop(f'{what} did not come within {seconds} s')
        time.sleep(0.2)


class Voyage:
    def __init__(self, once):
        self.once = once
        self.started = time.monotonic()
        self.step_number = 0
        self.work = pathlib.Path(tempfile.mkdtemp(prefix='skerry-run-'))
        self.device_dir = self.work / 'device'
        self.keys = self.work / 'keys'
        self.images = self.work / 'images'
        self.hub_port = free_port(8443)
        self.page_port = free_port(8080)
        self.hub = None
        self.on = False
        self.pool = concurrent.futures.ThreadPoolExecutor()
        self.builds = {}
        self.env = dict(os.environ, HOME=str(self.work), XDG_CONFIG_HOME=str(self.work / 'config'), SKERRY_BUILD=str(BUILD))

    # -- saying and running

    def step(self, text):
        self.step_number += 1
        print(f'\n{bold(f"{self.step_number:2}. {text}")}  ({time.monotonic() - self.started:.0f} s)', flush=True)

    def say(self, text):
        print(f'    {text}', flush=True)

    def check(self, ok, text):
        if not ok:
            raise Stop(text)
        print(f'    ✓ {text}', flush=True)

    def show(self, argv, root=False):
        short = ' '.join(str(a).replace(str(self.work), '$WORK').replace(str(SKERRY), 'skerry') for a in argv)
        print(f'    $ {"sudo " if root else ""}{short}', flush=True)

    def run(self, *argv, root=False, show=True, **kw):
        argv = [str(a) for a in argv]
        if show:
            self.show(argv, root)
        command = (SUDO if root else []) + argv
        r = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
        if r.returncode != 0:
            raise Stop(f'{argv[0].split("/")[-1]} {" ".join(argv[1:3])} failed: {(r.stderr or r.stdout).strip()[-800:]}')
        return r.stdout

    def skerry(self, *argv, **kw):
        return self.run(SKERRY, *argv, **kw)

    def json(self, *argv, **kw):
        return json.loads(self.skerry(*argv, '--json', show=False, **kw))

    # -- the parts

    def make_keys(self):
        self.step('Keys: a root of trust, and a certificate that may sign releases')
        self.skerry('key', 'init', '--dir', self.keys)
        self.skerry('key', 'release', 'builder', '--dir', self.keys)

    def start_hub(self):
        self.step('A fleet hub on this machine')
        data = self.work / 'hub'
        out = self.run(HUB, 'init', '--data', data, '--org', 'acme', '--owner', 'alice', '--name', 'localhost',
                       '--name', '127.0.0.1', '--name', '10.0.2.2', '--password-file', self.password_file())
        for line in out.splitlines()[:3]:
            self.say(line)
        log = open(self.work / 'hub.log', 'w')
        self.hub = subprocess.Popen([HUB, '--data', data, '--listen', f'127.0.0.1:{self.hub_port}'], env=self.env,
                                    stdout=log, stderr=log, start_new_session=True)
        url = f'https://127.0.0.1:{self.hub_port}'
        wait_for('the hub', 15, lambda: socket.create_connection(('127.0.0.1', self.hub_port), 1))
        self.skerry('hub', 'login', url, '--ca', data / 'ca.pem', '--org', 'acme', '--user', 'alice',
                    '--password-file', self.password_file())
        self.check(self.hub.poll() is None, f'the hub answers at {url}')

    def password_file(self):
        path = self.work / 'password'
        if not path.exists():
            path.write_text('correct-horse-battery\n')
            path.chmod(0o600)
        return path

    def make_project(self):
        self.step('A project with a deployment, and a token for devices that may join it by themselves')
        self.skerry('hub', 'project', 'create', 'station')
        self.skerry('hub', 'deployment', 'create', 'station/field')
        token = self.json('hub', 'deployment', 'token', 'station/field')['token']
        (self.work / 'token').write_text(token + '\n')

    def capsule_options(self, app, version):
        """What makes an app of its packages. Web's third version has no page, which its health check finds."""
        if app == 'broker':
            return ['--copy', f'{DEMO}/broker.conf:/etc/mosquitto/mosquitto.conf', '--user', '1000:1000',
                    '--command', '/usr/sbin/mosquitto', '--arg', '-c', '--arg', '/etc/mosquitto/mosquitto.conf']
        if app == 'meter':
            return ['--copy', f'{DEMO}/meter/meter.sh:/usr/bin/meter', '--user', '1000:1000',
                    '--command', '/bin/busybox', '--arg', 'sh', '--arg', '/usr/bin/meter']
        options = ['--copy', f'{DEMO}/web/nginx.conf:/etc/nginx/nginx.conf', '--user', '33:33',
                   '--command', '/usr/sbin/nginx', '--arg', '-g', '--arg', 'daemon off;']
        if version != '3.0.0':
            page = self.work / f'index-{version}.html'
            page.write_text((DEMO / 'web/index.html.in').read_text().replace('@VERSION@', version))
            options += ['--copy', f'{page}:/srv/www/index.html']
        return options

    def build_capsule(self, app, version):
        """Starts building; next_image() waits for it. Fetching packages takes longest, so it goes on behind the roll-outs."""
        out = self.images / f'{app}-{version}.itb'
        argv = [SKERRY, 'capsule', 'build', '--packages', PACKAGES[app], '--name', app, '--version', version, '-o', out,
                *self.capsule_options(app, version)]
        self.builds[app, version] = self.pool.submit(self.run, *argv, show=False), argv

    def next_image(self, app, version):
        """The built image takes the place of the one before it."""
        done, argv = self.builds.pop((app, version))
        self.show(argv)
        done.result()
        image = self.images / f'{app}.itb'
        (self.images / f'{app}-{version}.itb').rename(image)
        self.say(f'{app}: {human(image.stat().st_size)}')

    def build_release(self, version):
        manifest = self.work / f'manifest-{version}.dts'
        manifest.write_text((DEMO / 'manifest.dts.in').read_text().replace('@VERSION@', version))
        out = self.work / f'station-{version}.skr'
        self.skerry('manifest', 'check', manifest)
        self.skerry('release', 'build', manifest, '--images', self.images, '--key', self.keys / 'builder.key',
                    '--cert', self.keys / 'builder.pem', '-o', out)
        return out

    def roll_out(self, release, version):
        """Uploads, attaches, and waits until the hub calls the device's job ended; that job."""
        out = self.skerry('hub', 'release', 'upload', release, '--images', self.images)
        for line in out.strip().splitlines()[-3:]:
            self.say(line)
        self.skerry('hub', 'deployment', 'attach', 'station/field', version)
        return wait_for(f'the end of release {version}', 120, lambda: self.ended_job(version))

    def ended_job(self, version):
        jobs = [j for j in self.json('hub', 'job', 'list') if j.get('version') == version]
        return jobs[-1] if jobs and jobs[-1]['step'] in ('done', 'failed') else None

    def page(self):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.page_port}/', timeout=5) as answer:
            return answer.read().decode()

    def page_is(self, version):
        text = wait_for(f'the page of release {version}', 30, lambda: f'release <b>{version}</b>' in self.page() and self.page())
        self.check(f'release <b>{version}</b>' in text, f'http://127.0.0.1:{self.page_port}/ shows release {version}')

    def start_device(self):
        self.step('A virtual device: the real daemons, a disk of its own; it enrols by itself')
        self.skerry('simulate', 'start', self.device_dir, '--name', 'station-1', '--trust', self.keys,
                    '--hub', f'https://10.0.2.2:{self.hub_port}', '--hub-ca', self.work / 'hub/ca.pem', '--organisation', 'acme',
                    '--token-file', self.work / 'token', '--publish', f'{self.page_port}:8080', '--set', 'limits=best-effort', '--detach', root=True)
        self.on = True
        device = wait_for('the device', 30, lambda: next((d for d in self.json('hub', 'device', 'list')
                                                          if d['status'] == 'accepted'), None))
        self.check(device['name'] == 'station-1', f'the hub knows device {device["name"]} and accepted it')

    def first_release(self):
        self.step('Three capsules from Debian packages: nginx with a page, a message broker, a meter')
        self.images.mkdir()
        for app in PACKAGES:
            self.build_capsule(app, '1.0.0')
        for app in PACKAGES:
            self.next_image(app, '1.0.0')
        for version in ('2.0.0', '3.0.0'):
            self.build_capsule('web', version)
        self.step('Release 1.0.0: the manifest with the digests of its images, signed')
        release = self.build_release('1.0.0')
        print(self.skerry('manifest', 'graph', self.work / 'manifest-1.0.0.dts').rstrip())
        self.step('Roll-out of release 1.0.0')
        job = self.roll_out(release, '1.0.0')
        self.check(job['step'] == 'done', 'release 1.0.0 is good on the device')
        self.page_is('1.0.0')

    def second_release(self):
        self.step('Release 2.0.0 changes one image of three')
        self.next_image('web', '2.0.0')
        job = self.roll_out(self.build_release('2.0.0'), '2.0.0')
        self.check(job['step'] == 'done', 'release 2.0.0 is good on the device')
        self.page_is('2.0.0')
        whole = sum((self.images / f'{app}.itb').stat().st_size for app in PACKAGES)
        changed = (self.images / 'web.itb').stat().st_size
        moved = job['bytes_done']
        self.say(f'moved {human(moved)}; the release has {human(whole)}, the changed image {human(changed)}')
        self.check(0 < moved <= changed * 1.02, 'only what changed went over the wire')

    def broken_release(self):
        self.step('Release 3.0.0 is broken: its page is missing, so its health check fails')
        self.next_image('web', '3.0.0')
        job = self.roll_out(self.build_release('3.0.0'), '3.0.0')
        self.check(job['step'] == 'failed', 'the hub says that release 3.0.0 failed')
        self.say(f'reason: {job["reason"]}')
        self.check('web' in job['reason'], 'and why: the reason names the capsule')
        self.page_is('2.0.0')
        status = json.loads(self.skerry('status', '--socket', self.device_dir / 'run/skerry.sock', '--json', root=True, show=False))
        self.check(status['generation']['version'] == '2.0.0', 'the device went back to release 2.0.0 by itself')

    def power_cut(self):
        self.step('Power cut: every process killed, unsynced data lost; then power again')
        self.skerry('simulate', 'power-cut', self.device_dir, root=True)
        self.skerry('simulate', 'start', self.device_dir, '--publish', f'{self.page_port}:8080', '--name', 'station-1', '--detach', root=True)
        self.page_is('2.0.0')

    def docker(self):
        self.step('The docker command line sees the capsules')
        out = self.run('docker', '-H', f'unix://{self.device_dir}/run/skerry.sock', 'ps', '--format',
                       'table {{.Names}}\t{{.Image}}\t{{.Status}}', root=True)
        for line in out.splitlines():
            self.say(line)
        names = {line.split()[0] for line in out.splitlines()[1:]}
        self.check({'web', 'broker', 'meter'} <= names, 'docker ps lists all three')

    def stay(self):
        sock = f'{self.device_dir}/run/skerry.sock'
        sudo = 'sudo ' if SUDO else ''
        env = f'XDG_CONFIG_HOME={self.work}/config'
        print(f'''
{bold('All is up. Try, in another terminal:')}
    page          http://127.0.0.1:{self.page_port}/
    the fleet     {env} {SKERRY} hub device list
    the jobs      {env} {SKERRY} hub job list
    the device    {sudo}{SKERRY} status --socket {sock}
    its capsules  {sudo}docker -H unix://{sock} ps
    a log         {sudo}docker -H unix://{sock} logs -f meter
    pull the plug {sudo}{SKERRY} simulate power-cut {self.device_dir}
Ctrl-C ends it and removes {self.work}.''', flush=True)
        signal.pause()

    def clean(self):
        self.pool.shutdown(cancel_futures=True)
        if self.on:
            subprocess.run(SUDO + [str(SKERRY), 'simulate', 'stop', str(self.device_dir)], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        if self.hub and self.hub.poll() is None:
            self.hub.terminate()
            self.hub.wait()
        if self.work.exists():
            subprocess.run(SUDO + ['rm', '-rf', '--one-file-system', str(self.work)])

    def keep_logs(self):
        """What a person needs who wants to know why: the last lines of each log."""
        for path in (self.work / 'hub.log', self.device_dir / 'console.log'):
            out = subprocess.run(SUDO + ['tail', '-n', '15', str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
            if out:
                print(f'--- end of {path.name}\n{out}', file=sys.stderr)

    def go(self):
        self.make_keys()
        self.start_hub()
        self.make_project()
        self.start_device()
        self.first_release()
        self.second_release()
        self.broken_release()
        self.power_cut()
        self.docker()
        print(f'\n{bold("Every step was checked.")}  ({time.monotonic() - self.started:.0f} s)', flush=True)
        if not self.once:
            self.stay()


def main():
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    voyage = Voyage('--once' in sys.argv[1:])
    code = 0
    try:
        voyage.go()
    except Stop as e:
        print(f'\nrun: {e}', file=sys.stderr)
        voyage.keep_logs()
        code = 1
    except KeyboardInterrupt:
        print('\nending')
        code = 0 if not voyage.once else 130
    finally:
        voyage.clean()
    return code


if __name__ == '__main__':
    sys.exit(main())
