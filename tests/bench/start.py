#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Capsule start to first output, against bare `crun run` of an unpacked folder and against podman.

Every figure is the monotonic clock that the started program prints minus the clock just before the
request, in ms, least / median. Rounds alternate between the contestants. Ours is measured twice:
a created capsule that is started (as `docker start`), and create and start together.
"""
import json
import statistics
import subprocess
import sys

from archive import docker_archive
from lib import SKERRY, device, emit, now_ns, sh, spread, static_program, workdir

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 40


def crun_bundle(work, rootfs):
    """The same isolation that a capsule gets: user namespace, no capability, read-only root."""
    bundle = work / 'bundle'
    bundle.mkdir()
    (bundle / 'rootfs').symlink_to(rootfs)
    sh('crun', 'spec', cwd=bundle)
    spec = json.loads((bundle / 'config.json').read_text())
    spec['process'].update(terminal=False, args=['/firstlight'])
    spec['root'] = {'path': str(rootfs), 'readonly': True}
    spec['linux'].pop('resources', None)
    (bundle / 'config.json').write_text(json.dumps(spec))
    return bundle


def crun_once(bundle, n):
    t0 = now_ns()
    out = sh('crun', 'run', f'bench{n}', cwd=bundle)
    return (int(out) - t0) / 1e6


def first_output(api, name):
    """The last line that the capsule printed, once it has ended."""
    api.call('POST', f'/containers/{name}/wait')
    frames = api.call('GET', f'/containers/{name}/logs?stdout=1&tail=1', raw=True)
    return int(frames[8:].split()[0])


def start_once(api, name):
    t0 = now_ns()
    api.call('POST', f'/skerry/v1/capsules/{name}/start')
    return (first_output(api, name) - t0) / 1e6


def create(api, name):
    api.call('POST', f'/containers/create?name={name}',
             {'Image': 'firstlight:1', 'Cmd': ['/firstlight'], 'HostConfig': {'NetworkMode': 'none', 'ReadonlyRootfs': True}})


def create_start_once(api, name):
    t0 = now_ns()
    create(api, name)
    api.call('POST', f'/skerry/v1/capsules/{name}/start')
    ms = (first_output(api, name) - t0) / 1e6
    api.call('DELETE', f'/containers/{name}')
    return ms


def podman_once():
    t0 = now_ns()
    out = sh('podman', 'run', '--rm', '--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024',
             '--pids-limit=0', 'localhost/firstlight:1', '/firstlight', stderr=subprocess.DEVNULL)
    return (int(out) - t0) / 1e6


def podman_works(archive):
    """Says why not: on some machines its crun cannot set a limit that podman insists on."""
    try:
        sh('podman', 'load', '-q', '-i', archive, stderr=subprocess.DEVNULL)
        podman_once()
    except (OSError, ValueError, subprocess.CalledProcessError) as e:
        print(f'podman does not run here ({e}); it is left out', file=sys.stderr)
        return False
    return True


def main():
    with workdir() as work:
        rootfs = static_program(work)
        bundle = crun_bundle(work, rootfs)
        archive = docker_archive(work, rootfs)
        podman = podman_works(archive)
        with device(work) as (api, folder):
            sh('docker', '-H', f'unix://{folder}/run/skerry.sock', 'load', '-q', '-i', archive)
            start, both, crun, pod = [], [], [], []
            for n in range(ROUNDS):
                create(api, f's{n}')
                start.append(start_once(api, f's{n}'))
                crun.append(crun_once(bundle, n))
                both.append(create_start_once(api, f'b{n}'))
                if podman and n % 4 == 0:
                    pod.append(podman_once())
                api.call('DELETE', f'/containers/s{n}')
    med = statistics.median
    ratio = med(start) / med(crun)
    emit('capsule start to first output', f'{spread(start)} ms', f'crun run {spread(crun)} ms', f'{ratio:.2f}', 'at most 2', ratio <= 2)
    ratio = med(both) / med(crun)
    emit('capsule create and start to first output', f'{spread(both)} ms', f'crun run {spread(crun)} ms', f'{ratio:.2f}', '', None)
    if pod:
        ratio = med(pod) / med(both)
        emit('the same against podman', f'{spread(both)} ms', f'podman run {spread(pod)} ms', f'{ratio:.2f}', 'at least 5 times quicker', ratio >= 5)


if __name__ == '__main__':
    main()
