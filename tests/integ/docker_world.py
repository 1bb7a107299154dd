# SPDX-License-Identifier: Apache-2.0
"""A mount namespace with a disk and a skerryd of its own, and archives as `docker save` writes them."""
import hashlib
import http.client
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
SKERRYD = BUILD / 'src/engine/skerryd'
UNPACKER = BUILD / 'src/unpack/skerry-unpack'
DOCKER = os.environ.get('SKERRY_DOCKER_CLI') or shutil.which('docker')
LOOP = 'trap "echo bye; exit 0" TERM; echo hello; echo oops >&2; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done'
MOUNTS = '''set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -o loop "$1/fs.img" "$1/state"
touch "$1/ready"
exec sleep infinity
'''


def missing():
    if os.geteuid() != 0:
        return 'needs root'
    for program in ('crun', 'conmon', 'mksquashfs', 'busybox', 'unshare', 'nsenter', 'mkfs.ext4'):
        if not shutil.which(program):
            return f'needs {program}'
    if not DOCKER:
        return 'needs the docker CLI'
    return None if SKERRYD.exists() else f'needs {SKERRYD}'


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def docker_archive(path, tag, layer_names=(), big=b''):
    """A docker-archive around busybox; @layer_names are further, empty files of its layer, @big is in one more."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode='w') as tar:
        for name in ('bin', 'proc', 'dev', 'sys', 'tmp', 'run', 'etc'):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(shutil.which('busybox'), 'bin/busybox')
        for name in ('sh', 'sleep', 'cat'):
            info = tarfile.TarInfo('bin/' + name)
            info.type, info.linkname = tarfile.SYMTYPE, 'busybox'
            tar.addfile(info)
        for name in layer_names:
            add(tar, name, b'x')
        if big:
            add(tar, 'big', big)
    layer = layer.getvalue()
    config = json.dumps({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Cmd': ['/bin/sh', '-c', LOOP], 'Env': ['PATH=/bin', 'COLOUR=blue']},
        'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    name = hashlib.sha256(config).hexdigest() + '.json'
    with tarfile.open(path, 'w') as tar:
        add(tar, name, config)
        add(tar, 'layer.tar', layer)
        add(tar, 'manifest.json', json.dumps([{'Config': name, 'RepoTags': [tag], 'Layers': ['layer.tar']}]).encode())


def status_of(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    return dict(line.split(':\t', 1) for line in lines if ':\t' in line)


class Machine:
    """A mount namespace with a disk of its own and, in it, the daemon."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='skerry-docker-', dir='/var/tmp'))
        self.dir.chmod(0o755)  # capsules' users pass through it
        self.socket = self.dir / 'run/s'
        for name in ('state', 'run', 'trust', 'config'):
            (self.dir / name).mkdir()
        with open(self.dir / 'fs.img', 'wb') as f:
            f.truncate(512 << 20)
        subprocess.run(['mkfs.ext4', '-q', self.dir / 'fs.img'], check=True)
        (self.dir / 'conf').write_text(
            f'compatible = acme,box\nstate-dir = {self.dir}/state\nrun-dir = {self.dir}/run\n'
            f'log-dir = {self.dir}/log\ntrust-dir = {self.dir}/trust\nsocket = {self.socket}\n'
            f'limits = best-effort\nagent-user = nobody\nunpacker = {UNPACKER}\n')
        self.space = subprocess.Popen(['unshare', '-m', 'sh', '-c', MOUNTS, 'sh', str(self.dir)])
        self.until(lambda: (self.dir / 'ready').exists())
        self.daemon = None
        try:
            self.start()
        except AssertionError as e:
            self.end()
            raise AssertionError((self.dir / 'err').read_text()) from e

    def inside(self, path):
        """A path of the namespace, to be looked at from here."""
        return pathlib.Path(f'/proc/{self.space.pid}/root{self.dir}') / path

    def children(self):
        """Of the daemon: capsules' monitors belong to others. The kernel leaves some out when one ends as it lists them."""
        path = pathlib.Path(f'/proc/{self.daemon.pid}/task/{self.daemon.pid}/children')
        seen = None
        while seen != (text := path.read_text()):
            seen = text
        return [int(p) for p in text.split()]

    def works(self):
        """What is left of children's work."""
        return [p.name for p in self.inside('state/work').iterdir()]

    @staticmethod
    def until(fn, what='it'):
        end = time.monotonic() + 90
        while not fn():
            assert time.monotonic() < end, f'{what} did not happen'
            time.sleep(0.05)

    def start(self):
        self.daemon = subprocess.Popen(
            ['env', '--default-signal=HUP', 'nsenter', '-t', str(self.space.pid), '-m', str(SKERRYD), '--config', str(self.dir / 'conf')],
            stderr=open(self.dir / 'err', 'ab'))
        self.until(self.answers, 'an answer of the daemon')

    def restart(self, by=signal.SIGTERM):
        self.daemon.send_signal(by)
        assert self.daemon.wait(60) == 0
        self.start()

    def answers(self):
        try:
            return self.request('GET', '/_ping')[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None, headers=(), uid=None):
        conn = http.client.HTTPConnection('skerry', timeout=30)
        conn.sock = socket.socket(socket.AF_UNIX)
        conn.sock.settimeout(30)
        conn.sock.connect(str(self.socket))
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        conn.request(method, path, data, dict(headers))
        answer = conn.getresponse()
        return answer.status, answer.read(), answer

    def docker(self, *argv, ok=True):
        r = subprocess.run([DOCKER, '-H', f'unix://{self.socket}', *map(str, argv)], capture_output=True, text=True,
                           timeout=60, stdin=subprocess.DEVNULL, env=dict(os.environ, DOCKER_CONFIG=str(self.dir / 'config')))
        assert not ok or r.returncode == 0, (argv, r.stdout, r.stderr)
        assert ok or r.returncode != 0, (argv, r.stdout)
        return r.stdout.strip() if ok else r.stderr

    def close(self):
        try:
            for c in self.docker('ps', '-aq').split():
                self.docker('rm', '-f', c)
        finally:
            try:
                self.end()
            finally:
                shutil.rmtree(self.dir, ignore_errors=True)

    def end(self):
        self.daemon.terminate()
        code = self.daemon.wait(60)
        self.space.send_signal(signal.SIGKILL)
        self.space.wait(60)
        # Under a sanitizer a leak makes it another one.
        assert code == 0, (self.dir / 'err').read_text()[-5000:]
