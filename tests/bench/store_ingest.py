#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Store ingest against `sha256sum FILE; cp FILE COPY; sync COPY`: same file, same file system.

The file is in the page cache for both. Rounds alternate, each with a fresh target; the peer's time
is that of its three processes, ours that of the whole call: read, hash, write, fsync, seal, list.
SKERRY_BENCH_MB sets the size of the file (256).
"""
import hashlib
import os
import shutil
import statistics

from lib import BUILD, TOP, emit, now_ns, sh, workdir

ROUNDS = 5
AIM = 0.9
SIZE_MB = int(os.environ.get('SKERRY_BENCH_MB', 256))


def build(work):
    out = work / 'store_ingest'
    sh('gcc', '-O2', '-std=gnu17', '-D_GNU_SOURCE', '-I', TOP / 'src', '-o', out, TOP / 'tests/bench/store_ingest.c',
       BUILD / 'src/store/libskerry-store.a', BUILD / 'src/base/libskerry-base.a', '-lcrypto')
    return out


def make_file(work):
    path, digest = work / 'image', hashlib.sha256()
    with open(path, 'wb') as f:
        for _ in range(SIZE_MB):
            block = os.urandom(1 << 20)
            digest.update(block)
            f.write(block)
        os.fsync(f.fileno())
    return path, digest.hexdigest()


def ours(program, path, digest, store):
    seconds = int(sh(program, path, digest, store)) / 1e6
    shutil.rmtree(store)
    return seconds


def peer(path, copy):
    start = now_ns()
    sh('sha256sum', path)
    sh('cp', path, copy)
    sh('sync', copy)
    seconds = (now_ns() - start) / 1e9
    copy.unlink()
    return seconds


with workdir() as work:
    program = build(work)
    path, digest = make_file(work)
    a, b = [], []
    for _ in range(ROUNDS):
        a.append(ours(program, path, digest, work / 'store'))
        b.append(peer(path, work / 'copy'))
    mb = SIZE_MB * (1 << 20) / 1e6
    speed, peer_speed = mb / statistics.median(a), mb / statistics.median(b)
    ratio = speed / peer_speed
    emit('store ingest, MB/s', f'{speed:.0f}', f'sha256sum + cp + sync: {peer_speed:.0f}', f'{ratio:.2f}', f'at least {AIM}',
         ratio >= AIM)
