# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a device without a hub, crun bundles, peers, and the table."""
import array
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(1, str(TOP / 'tests/integ'))
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build-bench'))
SKERRY = BUILD / 'src/cli/skerry'


def sh(*argv, **kw):
    """Runs a command; its standard output, without the last newline."""
    kw.setdefault('check', True)
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True, **kw).stdout.rstrip('\n')


VIEW = '''
mountpoint -q /sys/fs/cgroup && umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
crun=$(command -v crun) && mount --bind "$crun" "$crun" && mount -o remount,bind,ro "$crun"
exec "$@"
'''


def own_view():
    """
    Starts this program anew in a mount namespace of its own, so that the machine's stays as it is: with
    control groups of version 2 alone, as the runtimes want them, and with crun on a read-only mount, as
    it is on a device. On a writable one it first copies itself into memory, at 2 ms for each start.
    """
    if 'SKERRY_BENCH_VIEW' in os.environ:
        return
    os.environ['SKERRY_BENCH_VIEW'] = 'own'
    os.execvp('unshare', ['unshare', '-m', 'sh', '-ec', VIEW, 'sh', sys.executable, *sys.argv])


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('skerry', timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """One kept connection to a daemon's socket."""

    def __init__(self, path):
        self.path = str(path)
        self.conn = UnixConnection(path)

    def post_at(self, path):
        """POST on a connection made before; the clock just before the request, in ns."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            request = f'POST {path} HTTP/1.1\r\nHost: skerry\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'.encode()
            start = now_ns()
            s.sendall(request)
            answer = s.makefile('rb').read()
        if not answer.startswith(b'HTTP/1.1 2'):
            raise RuntimeError(f'POST {path}: {answer[:300]!r}')
        return start

    def call(self, method, path, body=None, raw=False):
        data = json.dumps(body) if body is not None else None
        self.conn.request(method, path, data, {'Content-Type': 'application/json'} if data else {})
        answer = self.conn.getresponse()
        content = answer.read()
        if answer.status >= 300 and answer.status != 304:
            raise RuntimeError(f'{method} {path}: {answer.status} {content[:300]!r}')
        if raw:
            return content
        return json.loads(content) if content else None


@contextlib.contextmanager
def workdir():
    path = pathlib.Path(tempfile.mkdtemp(prefix='skerry-bench-', dir='/var/tmp'))
    try:
        yield path
    finally:
        for line in reversed(pathlib.Path('/proc/self/mountinfo').read_text().splitlines()):
            if (at := line.split()[4]).startswith(f'{path}/'):
                sh('umount', '-l', at)
        shutil.rmtree(path, ignore_errors=True)


def static_program(work):
    """firstlight, static: the root file system of the benchmark's capsules is this one file."""
    out = work / 'rootfs/firstlight'
    if out.exists():
        return out.parent
    out.parent.mkdir()
    sh('gcc', '-O2', '-static', '-o', out, TOP / 'tests/bench/firstlight.c')
    for name in ('proc', 'dev', 'sys', 'tmp', 'run', 'etc'):
        (out.parent / name).mkdir(exist_ok=True)
    os.chmod(out.parent, 0o755)
    return out.parent


def crun_bundle(work, *args):
    """A bundle as `crun spec` makes it, with firstlight on an unpacked folder."""
    bundle = work / 'bundle'
    bundle.mkdir()
    sh('crun', 'spec', cwd=bundle)
    spec = json.loads((bundle / 'config.json').read_text())
    spec['process'].update(terminal=False, args=['/firstlight', *args])
    spec['root'] = {'path': str(static_program(work)), 'readonly': True}
    spec['linux'].pop('resources', None)
    (bundle / 'config.json').write_text(json.dumps(spec))
    return bundle


def in_memory(folder):
    """Where a runtime keeps its states: in memory, as /run is on every device and desk."""
    folder.mkdir(parents=True)
    sh('mount', '-t', 'tmpfs', 'run', folder)
    return folder


@contextlib.contextmanager
def device(work):
    """A virtual device without a link, and a connection to its daemon."""
    keys = work / 'keys'
    if not keys.exists():
        sh(SKERRY, 'key', 'init', '--dir', keys, stderr=subprocess.DEVNULL)
    folder = work / 'device'
    in_memory(folder / 'run')
    sh(SKERRY, 'simulate', 'start', folder, '--trust', keys, '--no-agent', '--network', 'none', '--detach')
    try:
        yield Api(folder / 'run/skerry.sock'), folder
    finally:
        sh(SKERRY, 'simulate', 'stop', folder, check=False)


def device_pid(folder):
    return json.loads(sh(SKERRY, 'simulate', 'status', folder, '--json'))['pid']


def children_of(pid):
    """All descendants of a process, as (pid, command) pairs."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        for task in pathlib.Path(f'/proc/{at}/task').glob('*/children'):
            with contextlib.suppress(OSError):
                kids = [int(k) for k in task.read_text().split()]
                todo += kids
                for k in kids:
                    found.append((k, pathlib.Path(f'/proc/{k}/comm').read_text().strip()))
    return found


def memory_kib(pid):
    """(RSS, PSS) of one process."""
    rows = dict(line.split(':', 1) for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:])
    return int(rows['Rss'].split()[0]), int(rows['Pss'].split()[0])


def pages_of(pid):
    """Numbers of the page frames that a process has mapped; needs root."""
    pages = set()
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/pagemap', 'rb', buffering=0) as pagemap:
        for line in maps:
            start, end = (int(x, 16) >> 12 for x in line.split()[0].split('-'))
            for at in range(start, end, 1 << 16):
                with contextlib.suppress(OSError, OverflowError):  # [vsyscall]
                    entries = array.array('Q', os.pread(pagemap.fileno(), min(end - at, 1 << 16) * 8, at * 8))
                    pages.update(e & (1 << 55) - 1 for e in entries if e >> 63)
    pages.discard(0)
    return pages


def distinct_kib(pids):
    """Memory of some processes in which each page counts once, whoever else on the machine maps it."""
    return len(set().union(*map(pages_of, pids))) * 4


def spread(values):
    return f'{min(values):.2f} / {statistics.median(values):.2f}'


def note(text):
    """One line below the table."""
    print(json.dumps({'note': text}), flush=True)


def emit(figure, ours, peer, ratio, aim, met):
    """One row of the table, for tests/bench/run."""
    print(json.dumps({'figure': figure, 'ours': ours, 'peer': peer, 'ratio': ratio, 'aim': aim, 'met': met}), flush=True)
