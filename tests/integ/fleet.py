# SPDX-License-Identifier: Apache-2.0
"""A fleet for tests and benchmarks: a real hub on loopback, virtual devices with the real daemons.

Needs root for the devices. Everything lives below one folder and ends with the `with` block.
"""
import json
import os
import pathlib
import socket
import subprocess
import time

from ports import free_port

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
SKERRY = BUILD / 'src/cli/skerry'
HUB = BUILD / 'src/hub/skerry-hub'
PASSWORD = 'correct-horse-battery'


class Failed(Exception):
    """A command of ours ended with an error; the text is what it said."""

    def __init__(self, argv, code, text):
        super().__init__(f'{" ".join(argv)}: exit {code}: {text}')
        self.code, self.text = code, text


def wait_for(what, probe, seconds=60):
    """Asks every 0.1 s until the probe gives something; its answer."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            answer = probe()
            if answer:
                return answer
        except (OSError, Failed, ValueError, KeyError) as e:
            last = e
        time.sleep(0.1)
    raise AssertionError(f'{what} did not come within {seconds} s ({last})')


def descendants(pid):
    """All processes below one, as (pid, command) pairs; those that end meanwhile are left out."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        for task in pathlib.Path(f'/proc/{at}/task').glob('*/children'):
            try:
                kids = [int(k) for k in task.read_text().split()]
            except OSError:
                continue
            todo += kids
            for k in kids:
                try:
                    found.append((k, pathlib.Path(f'/proc/{k}/comm').read_text().strip()))
                except OSError:
                    continue
    return found


class Device:
    """A virtual device of a fleet, or on its own."""

    def __init__(self, fleet, name, link=True, network='host', settings=('limits=best-effort',), size='256M'):
        self.fleet, self.name, self.link, self.network, self.settings, self.size = fleet, name, link, network, settings, size
        self.dir = fleet.dir / name
        self.sock = self.dir / 'run/skerry.sock'

    def start(self):
        argv = ['simulate', 'start', self.dir, '--name', self.name, '--trust', self.fleet.keys, '--network', self.network,
                '--size', self.size, '--detach']
        for s in self.settings:
            argv += ['--set', s]
        if self.link:
            argv += ['--hub', self.fleet.url, '--hub-ca', self.fleet.data / 'ca.pem', '--organisation', 'acme',
                     '--token-file', self.fleet.token]
        else:
            argv += ['--no-agent']
        self.fleet.skerry(*argv)
        return self

    def stop(self):
        self.fleet.skerry('simulate', 'stop', self.dir)

    def power_cut(self):
        self.fleet.skerry('simulate', 'power-cut', self.dir)

    def is_on(self):
        return subprocess.run([SKERRY, 'simulate', 'status', self.dir], capture_output=True).returncode == 0

    def exec(self, *argv):
        return self.fleet.skerry('simulate', 'exec', self.dir, '--', *argv)

    def cli(self, *argv):
        """A device command, its answer as JSON."""
        return json.loads(self.fleet.skerry(*argv, '--socket', self.sock, '--json'))

    def status(self):
        return self.cli('status')

    def pid(self):
        return self.fleet.json('simulate', 'status', self.dir)['pid']

    def pids_of(self, program):
        """Host pids of the device's processes of that name, parents before their children. Any but a daemon itself may
        have ended since."""
        return [pid for pid, name in descendants(self.pid()) if name == program]

    def console(self):
        return (self.dir / 'console.log').read_text(errors='replace')


class Fleet:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.keys, self.data, self.images = self.dir / 'keys', self.dir / 'hub', self.dir / 'images'
        self.token = self.dir / 'token'
        self.env = dict(os.environ, HOME=str(self.dir), XDG_CONFIG_HOME=str(self.dir / 'config'))
        self.hub, self.port, self.url = None, 0, ''
        self.devices = []

    # -- commands

    def run(self, *argv):
        argv = [str(a) for a in argv]
        r = subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
        if r.returncode != 0:
            raise Failed(argv[:6], r.returncode, (r.stderr or r.stdout).strip())
        return r.stdout

    def skerry(self, *argv):
        return self.run(SKERRY, *argv)

    def json(self, *argv):
        return json.loads(self.skerry(*argv, '--json'))

    # -- the hub

    def password_file(self):
        path = self.dir / 'password'
        if not path.exists():
            path.write_text(PASSWORD + '\n')
            path.chmod(0o600)
        return path

    def make_keys(self):
        self.skerry('key', 'init', '--dir', self.keys)
        self.skerry('key', 'release', 'builder', '--dir', self.keys)

    def start_hub(self):
        if not self.data.exists():
            self.run(HUB, 'init', '--data', self.data, '--org', 'acme', '--owner', 'alice', '--name', '127.0.0.1',
                     '--name', '10.0.2.2', '--password-file', self.password_file())
        self.port = self.port or free_port()
        self.url = f'https://127.0.0.1:{self.port}'
        with open(self.dir / 'hub.log', 'a') as log:
            self.hub = subprocess.Popen([HUB, '--data', self.data, '--listen', f'127.0.0.1:{self.port}'], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for('the hub', lambda: socket.create_connection(('127.0.0.1', self.port), 1).close() or True)

    def kill_hub(self):
        self.hub.kill()
        self.hub.wait()

    def set_up(self):
        """Keys, a hub with an owner who is logged in, a project with a deployment and a token."""
        self.make_keys()
        self.start_hub()
        self.skerry('hub', 'login', self.url, '--ca', self.data / 'ca.pem', '--org', 'acme', '--user', 'alice',
                    '--password-file', self.password_file())
        self.skerry('hub', 'project', 'create', 'station')
        self.skerry('hub', 'deployment', 'create', 'station/field')
        self.token.write_text(self.json('hub', 'deployment', 'token', 'station/field')['token'])
        return self

    def __enter__(self):
        return self.set_up()

    def __exit__(self, *exc):
        for device in self.devices:
            if device.is_on():
                subprocess.run([SKERRY, 'simulate', 'power-cut', device.dir], capture_output=True)
        if self.hub and self.hub.poll() is None:
            self.hub.terminate()
            self.hub.wait(60)

    def add_device(self, name, **kw):
        device = Device(self, name, **kw)
        self.devices.append(device)
        return device.start()

    def start_device(self, name, **kw):
        """A device that is accepted; its folder."""
        device = self.add_device(name, **kw)
        wait_for(f'device {name} at the hub', lambda: any(d['name'] == name and d['status'] == 'accepted'
                                                          for d in self.json('hub', 'device', 'list')))
        return device.dir

    # -- releases

    def capsule(self, name, script, salt=''):
        """A small image: busybox and a shell script."""
        self.images.mkdir(exist_ok=True)
        root = self.dir / f'root-{name}'
        (root / 'bin').mkdir(parents=True, exist_ok=True)
        (root / 'srv').mkdir(exist_ok=True)
        self.run('cp', '/bin/busybox', root / 'bin/busybox')
        for applet in ('sh', 'sleep', 'echo', 'cat', 'test', 'rm', 'touch', 'httpd', 'wget'):
            link = root / 'bin' / applet
            if not link.is_symlink():
                link.symlink_to('busybox')
        (root / 'srv/salt').write_text(salt)
        (root / 'srv/main.sh').write_text(f'#!/bin/sh\n{script}\n')
        (root / 'srv/main.sh').chmod(0o755)
        out = self.images / f'{name}.itb'
        out.unlink(missing_ok=True)
        self.skerry('capsule', 'build', root, '--name', name, '--user', '1000:1000', '--command', '/bin/sh',
                    '--arg', '/srv/main.sh', '-o', out)
        return out

    def release(self, version, apps, extra='', release_extra='', settle='1s', patience='2m'):
        """Builds a signed release; @apps: name -> further lines of its node. Nobody waits for the end of @patience
        but a release that hangs: on a busy machine even a good one takes its time."""
        nodes = ''
        for name, more in apps.items():
            image = '' if 'image =' in more else f'image = "{name}.itb";'
            restart = '' if 'restart =' in more else 'restart = "always";'
            nodes += f'{name} {{ {image} {restart} {more} }};\n'
        dts = self.dir / f'manifest-{version}.dts'
        dts.write_text(f'''/dts-v1/;
/ {{
	persistent-boot;
	release {{ project = "station"; version = "{version}"; compatible = "skerry,virtual";
		settle-time = "{settle}"; health-timeout = "{patience}"; {release_extra} }};
	apps {{ {nodes} }};
	{extra}
}};
''')
        out = self.dir / f'station-{version}.skr'
        out.unlink(missing_ok=True)
        self.skerry('release', 'build', dts, '--images', self.images, '--key', self.keys / 'builder.key',
                    '--cert', self.keys / 'builder.pem', '-o', out)
        return out

    def upload(self, release):
        return self.skerry('hub', 'release', 'upload', release, '--images', self.images)

    def attach(self, version):
        return self.skerry('hub', 'deployment', 'attach', 'station/field', version)

    def jobs(self, version=None):
        return [j for j in self.json('hub', 'job', 'list') if version in (None, j['version'])]

    def wait_jobs(self, version, seconds=300):
        """Until every device's job of that release has ended; the jobs."""
        def ended():
            jobs = self.jobs(version)
            return jobs if jobs and all(j['step'] in ('done', 'failed') for j in jobs) else None
        return wait_for(f'the end of release {version}', ended, seconds)
