#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Capsule start to first output, against bare `crun run` of an unpacked folder and against podman.

Every figure is the monotonic clock that the started program prints minus the clock just before the
request is sent (ours) or the command is executed (theirs; without the fork before it), in ms, least /
median. All images are warm: podman's lies unpacked, crun's folder too, ours is mounted, as another
capsule has it. The order of the contestants changes from round to round.

  created   a capsule that was created before, by Docker's create, and is started: it lies prepared
  stopped   a capsule that ran and stopped, and is started again: nothing is prepared
  both      create and start, one after the other

The peer has less to do: no image to mount, no log, no monitor, no seccomp filter, no user namespace.

usage: start.py [ROUNDS]
"""
import statistics
import subprocess
import sys

from archive import docker_archive
from lib import TOP, crun_bundle, device, emit, in_memory, now_ns, own_view, sh, spread, static_program, workdir

CONTAINER = {'Image': 'firstlight:1', 'Cmd': ['/firstlight'], 'HostConfig': {'NetworkMode': 'none', 'ReadonlyRootfs': True}}


class Skerry:
    """Each contestant: a call is one round, in ms."""

    def __init__(self, api, name):
        self.api, self.name = api, name

    def create(self):
        self.api.call('POST', f'/containers/create?name={self.name}', CONTAINER)

    def prepare(self):
        self.api.call('POST', f'/skerry/v1/capsules/{self.name}/prepare')

    def start(self):
        """The clock just before the request."""
        return self.api.post_at(f'/skerry/v1/capsules/{self.name}/start')

    def output(self):
        """The last line that the capsule printed, once it has ended."""
        self.api.call('POST', f'/containers/{self.name}/wait')
        frames = self.api.call('GET', f'/containers/{self.name}/logs?stdout=1&tail=1', raw=True)
        return int(frames[8:].split()[0])

    def remove(self):
        self.api.call('DELETE', f'/containers/{self.name}')


class Created(Skerry):
    def __call__(self):
        self.create()
        self.prepare()  # returns when it is, as it is some ms after each create
        t0 = self.start()
        t1 = self.output()
        self.remove()
        return (t1 - t0) / 1e6


class Stopped(Skerry):
    def __call__(self):
        self.create()
        self.start()
        self.api.call('POST', f'/skerry/v1/capsules/{self.name}/stop')  # returns when all is cleaned up
        t0 = self.start()
        t1 = self.output()
        self.remove()
        return (t1 - t0) / 1e6


class Both(Skerry):
    def __call__(self):
        t0 = now_ns()
        self.create()
        self.start()
        t1 = self.output()
        self.remove()
        return (t1 - t0) / 1e6


class Command:
    """A program that is run; what is started prints the clock."""

    def __init__(self, firstlight, *argv, **options):
        self.argv, self.options = (firstlight, 'then', *argv), options

    def __call__(self):
        for _ in range(5):
            t0, *output = sh(*self.argv, **self.options).split()
            if output:
                return (int(output[0]) - int(t0)) / 1e6
            # podman 4.3 now and then misses what such a short-lived program printed, and returns 0.
        raise RuntimeError(f'no output of {self.argv}')


def podman_command(work, archive):
    """
    podman with a storage of its own. Its crun insists on raising RLIMIT_MEMLOCK, which a kernel has not
    needed since 5.11 and a virtual machine may forbid: memlock.c lets it believe that it could.
    """
    shim, conf = work / 'memlock.so', work / 'containers.conf'
    sh('gcc', '-O2', '-shared', '-fPIC', '-D_GNU_SOURCE', '-o', shim, TOP / 'tests/bench/memlock.c')
    conf.write_text(f'[engine]\nevents_logger = "none"\nconmon_env_vars = ["LD_PRELOAD={shim}", "PATH=/usr/sbin:/usr/bin"]\n')
    podman = ('/usr/bin/env', f'CONTAINERS_CONF={conf}', '/usr/bin/podman', '--root', work / 'podman', '--runroot', in_memory(work / 'podman-run'))
    sh(*podman, 'load', '-q', '-i', archive, stderr=subprocess.DEVNULL)
    return Command(work / 'rootfs/firstlight', *podman, 'run', '--rm', '--network', 'none', '--ulimit', 'nofile=1024:1024',
                   '--ulimit', 'nproc=1024:1024', '--pids-limit=0', 'localhost/firstlight:1', '/firstlight', stderr=subprocess.DEVNULL)


def race(contestants, rounds):
    """ms of every round of each; one round before them all warms up."""
    times = {name: [] for name in contestants}
    names = list(contestants)
    for n in range(rounds + 1):
        for name in names[n % len(names):] + names[:n % len(names)]:
            ms = contestants[name]()
            if n > 0:
                times[name].append(ms)
    return times


def main():
    own_view()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with workdir() as work:
        rootfs = static_program(work)
        archive = docker_archive(work, rootfs)
        with device(work) as (api, folder):
            sh('docker', '-H', f'unix://{folder}/run/skerry.sock', 'load', '-q', '-i', archive)
            Created(api, 'other').create()
            times = race({
                'crun': Command(rootfs / 'firstlight', '/usr/bin/crun', '--root', in_memory(work / 'crun'), 'run', 'bench', cwd=crun_bundle(work)),
                'created': Created(api, 'created'),
                'stopped': Stopped(api, 'stopped'),
                'both': Both(api, 'both'),
                'podman': podman_command(work, archive),
            }, rounds)
    median = {name: statistics.median(ms) for name, ms in times.items()}
    crun = f'crun run {spread(times["crun"])} ms'
    for name, figure, aim in (('created', 'capsule start to first output', 2),
                              ('stopped', 'the same, of a stopped capsule', None),
                              ('both', 'capsule create and start to first output', None)):
        ratio = median[name] / median['crun']
        emit(figure, f'{spread(times[name])} ms', crun, f'{ratio:.2f}', f'at most {aim}' if aim else '', ratio <= aim if aim else None)
    ratio = median['podman'] / median['both']
    emit('the same against podman', f'{spread(times["both"])} ms', f'podman run {spread(times["podman"])} ms', f'{ratio:.1f}',
         'at least 5', ratio >= 5)


if __name__ == '__main__':
    main()
