#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of the device daemons, idle with ten capsules, against dockerd with ten containers.

Ours: skerryd, skerry-agent (connected to a hub) and one conmon per capsule. Docker's: dockerd,
containerd and one shim per container, from Debian's packages, unpacked into a folder and run in
namespaces of their own. The capsules' own memory counts on neither side.

Three ways to add up. RSS counts a page for each process that has it, ten times the C library for ten
monitors. "Each page once" counts the page frames that the family has mapped, whoever else on the
machine has them too: what would be free without it. PSS divides a page by all who map it, so that it
falls when something else on the machine uses the same library.
"""
import contextlib
import os
import subprocess
import time

from archive import docker_archive
from lib import Api, children_of, device_pid, distinct_kib, emit, memory_kib, note, own_view, sh, static_program, workdir
from fleet import Fleet

CAPSULES = 10
SETTLE_S = 10
DOCKER_PARTS = ('docker.io', 'containerd', 'runc')


def weigh(family):
    """family: (pid, command). KiB: RSS, each page once, PSS; and those of each command as a note."""
    rows = [(command, *memory_kib(pid)) for pid, command in family]
    parts = []
    for command in dict.fromkeys(c for c, _, _ in rows):
        mine = [(r, p) for c, r, p in rows if c == command]
        rss, pss = (sum(x) for x in zip(*mine))
        own = distinct_kib(pid for pid, c in family if c == command)
        parts.append(f'{len(mine)} {command} {rss / 1024:.1f} / {own / 1024:.1f} / {pss / 1024:.1f}')
    note(f'Memory by process, RSS / each page once / PSS in MiB: {", ".join(parts)}.')
    return sum(r for _, r, _ in rows), distinct_kib(pid for pid, _ in family), sum(p for _, _, p in rows)


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
        family = [(p, c) for p, c in children_of(device_pid(folder)) if c in ('skerryd', 'skerry-agent', 'conmon')]
        assert sorted({c for _, c in family}) == ['conmon', 'skerry-agent', 'skerryd'], family
        assert sum(c == 'conmon' for _, c in family) == CAPSULES, family
        return weigh(family)


def unpack_docker(work):
    root = work / 'docker'
    root.mkdir()
    for part in DOCKER_PARTS:
        sh('apt-get', 'download', '-qq', '-o', 'APT::Sandbox::User=root', part, cwd=root)
    for deb in root.glob('*.deb'):
        sh('dpkg', '-x', deb, root)
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
        for _ in range(300):
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
        assert len(shims) == CAPSULES, shims
        daemons = [(p, c) for p, c in children_of(pid) if c == 'containerd']
        result = weigh([(pid, 'dockerd'), *daemons, *((p, 'shim') for p in shims)])
        sh(*docker, 'rm', '-f', *[f'm{n}' for n in range(CAPSULES)], stderr=subprocess.DEVNULL)
        return result


def main():
    own_view()
    with workdir() as work:
        archive = docker_archive(work, static_program(work))
        mine, theirs = ours(work, archive), dockers(work, archive)
    for name, a, b in zip(('RSS', 'each page once', 'PSS'), mine, theirs):
        emit(f'memory with {CAPSULES} idle capsules, {name}', f'{a / 1024:.1f} MiB', f'dockerd {b / 1024:.1f} MiB', f'{a / b:.2f}',
             'at most 0.10', a / b <= 0.1)


if __name__ == '__main__':
    main()
