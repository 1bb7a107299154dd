#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of the device daemons, idle with ten capsules, against dockerd with ten containers.

Ours: skerryd, skerry-agent (connected to a hub) and one conmon per capsule. Docker's: dockerd,
containerd and one shim per container, from Debian's packages, unpacked into a folder and run in
namespaces of their own. The capsules' own memory counts on neither side. PSS shares each common
page out among those who map it, so sums are honest; RSS counts it for each.
"""
import contextlib
import os
import subprocess
import time

from archive import docker_archive
from fleet import Fleet
from lib import Api, children_of, device_pid, emit, memory_kib, sh, static_program, workdir

CAPSULES = 10
SETTLE_S = 10
DOCKER_PARTS = ('docker.io', 'containerd', 'runc')


def total(pids):
    rss = pss = 0
    for pid in pids:
        r, p = memory_kib(pid)
        rss, pss = rss + r, pss + p
    return rss, pss


def ours(work, archive):
    with Fleet(work / 'fleet') as fleet:
        folder = fleet.start_device('memory')
        sock = folder / 'run/skerry.sock'
        sh('docker', '-H', f'unix://{sock}', 'load', '-q', '-i', archive)
        api = Api(sock)
        for n in range(CAPSULES):
            api.call('POST', f'/containers/create?name=m{n}', {'Image': 'firstlight:1', 'Cmd': ['/firstlight', 'stay'],
                                                               'HostConfig': {'NetworkMode': 'none', 'ReadonlyRootfs': True}})
            api.call('POST', f'/skerry/v1/capsules/m{n}/start')
        time.sleep(SETTLE_S)
        family = children_of(device_pid(folder))
        mine = [(p, c) for p, c in family if c in ('skerryd', 'skerry-agent', 'conmon')]
        assert sum(c == 'conmon' for _, c in mine) == CAPSULES, family
        assert {'skerryd', 'skerry-agent'} <= {c for _, c in mine}, family
        return total(p for p, _ in mine), mine


def unpack_docker(work):
    root = work / 'docker'
    root.mkdir()
    for part in DOCKER_PARTS:
        sh('apt-get', 'download', '-qq', '-o', 'APT::Sandbox::User=root', part, cwd=root)
    for deb in root.glob('*.deb'):
        sh('dpkg', '-x', deb, root)
    # What they are linked with that this machine may lack.
    return root


@contextlib.contextmanager
def dockerd(work, root):
    sock = work / 'docker.sock'
    env = dict(os.environ, PATH=f'{root}/usr/sbin:{root}/usr/bin:{os.environ["PATH"]}')
    log = open(work / 'dockerd.log', 'w')
    p = subprocess.Popen(['dockerd', '--data-root', str(work / 'docker-data'), '--exec-root', str(work / 'docker-run'),
                          '--host', f'unix://{sock}', '--pidfile', str(work / 'docker.pid'), '--iptables=false',
                          '--ip6tables=false', '--bridge=none'], env=env, stdout=log, stderr=log)
    try:
        for _ in range(150):
            if sock.exists() and subprocess.run(['docker', '-H', f'unix://{sock}', 'info'], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        yield p.pid, sock
    finally:
        p.terminate()
        p.wait(30)


def dockers(work, archive):
    root = unpack_docker(work)
    with dockerd(work, root) as (pid, sock):
        docker = ('docker', '-H', f'unix://{sock}')
        sh(*docker, 'load', '-q', '-i', archive)
        for n in range(CAPSULES):
            sh(*docker, 'run', '-d', '--network', 'none', '--name', f'm{n}', 'firstlight:1', '/firstlight', 'stay')
        time.sleep(SETTLE_S)
        shims = [int(p) for p in sh('pgrep', '-f', f'containerd-shim.*{work}').split()]
        family = [(pid, 'dockerd')] + [(p, c) for p, c in children_of(pid) if c == 'containerd'] + [(p, 'shim') for p in shims]
        assert len(shims) == CAPSULES, shims
        result = total(p for p, _ in family)
        sh(*docker, 'rm', '-f', *[f'm{n}' for n in range(CAPSULES)], stderr=subprocess.DEVNULL)
        return result


def main():
    with workdir() as work:
        archive = docker_archive(work, static_program(work))
        (our_rss, our_pss), _ = ours(work, archive)
        rss, pss = dockers(work, archive)
    for name, a, b in (('PSS', our_pss, pss), ('RSS', our_rss, rss)):
        emit(f'memory with {CAPSULES} idle capsules, {name}', f'{a / 1024:.1f} MiB', f'dockerd {b / 1024:.1f} MiB', f'{a / b:.2f}',
             'at most 0.10', a / b <= 0.1)


if __name__ == '__main__':
    main()
