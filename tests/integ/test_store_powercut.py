# SPDX-License-Identifier: Apache-2.0
"""The store on a real ext4 whose power is cut, whose process is killed, and which is full.

The file system is an image file on a loop device, mounted in a mount namespace of this test's own (so this
file runs itself again in there). Power is cut with EXT4_IOC_SHUTDOWN without a flush of the log: what was
not synced is gone, as after a real cut. `store_driver run` prints a line for each promise that the store
made; `store_driver check` holds the store to them after the next mount.
"""
import fcntl
import os
import pathlib
import random
import struct
import subprocess
import sys
import time

import pytest

from repetition import times

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
DRIVER = BUILD / 'tests/integ/helpers/store_driver'
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def inside(work, *what):
    """Runs this file again where mounts are nobody else's business."""
    argv = ['unshare', '-m', '--propagation', 'private', sys.executable, __file__, str(work), *what]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='mounts need root')


@needs_root
def test_power_cuts(tmp_path):
    r = inside(tmp_path, 'cuts', str(times(10, 50)))
    assert r.returncode == 0, r.stdout
    assert 'promises kept' in r.stdout


@needs_root
def test_kills(tmp_path):
    r = inside(tmp_path, 'kills', str(times(10, 50)))
    assert r.returncode == 0, r.stdout


@needs_root
def test_a_store_that_does_not_sync_is_found_out(tmp_path):
    """The test above can fail."""
    r = inside(tmp_path, 'unsynced', '15')
    assert r.returncode != 0
    assert any(w in r.stdout for w in ('is lost', 'torn', 'damaged')), r.stdout


@needs_root
def test_full_disk_still_takes_a_record(tmp_path):
    r = inside(tmp_path, 'full', '1')
    assert r.returncode == 0, r.stdout


# Inside the namespace.


class Disk:
    def __init__(self, work):
        self.image, self.mnt = work / 'disk.img', work / 'mnt'
        self.mnt.mkdir()
        with open(self.image, 'wb') as f:
            f.truncate(48 << 20)
        subprocess.run(['mkfs.ext4', '-q', self.image], check=True)
        self.store = self.mnt / 'store'

    def mount(self):
        subprocess.run(['mount', '-o', 'loop', self.image, self.mnt], check=True)

    def umount(self):
        # The loop device lets go a moment after its last user.
        for _ in range(50):
            if subprocess.run(['umount', self.mnt], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit('the disk stays busy')

    def cut_power(self):
        fd = os.open(self.mnt, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
        os.close(fd)


def run_for_a_while(disk, seed, end, unsynced):
    argv = [DRIVER, 'run', disk.store, str(seed)] + (['unsynced'] if unsynced else [])
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    lines = [p.stdout.readline() for _ in range(10)]
    time.sleep(random.uniform(0, 0.15))
    end(p)
    # Not communicate(), which passes over what readline() has read ahead.
    lines += p.stdout.readlines()
    p.wait(timeout=60)
    # The last one may be cut off; a whole one has three words.
    return ''.join(w for w in lines if len(w.split()) == 3 and w.endswith('\n'))


def check(disk, promises):
    r = subprocess.run([DRIVER, 'check', disk.store], input=promises, stdout=subprocess.PIPE, text=True)
    if r.returncode != 0:
        raise SystemExit(r.stdout or f'exit status {r.returncode}')


def rounds(disk, n, power, unsynced=False):
    promises = ''
    for i in range(n):
        end = (lambda p: disk.cut_power()) if power else (lambda p: p.kill())
        promises += run_for_a_while(disk, random.randrange(1 << 30), end, unsynced)
        # After a kill the power goes too: what was only visible then must have been made durable.
        if power or i % 2:
            if not power:
                check(disk, promises)
                disk.cut_power()
            disk.umount()
            disk.mount()
        check(disk, promises)
    print(f'{len(promises.splitlines())} promises kept over {n} rounds')


def fill(path, step, at_most=1 << 30):
    with open(path, 'wb', buffering=0) as f:
        try:
            for _ in range(at_most):
                f.write(bytes(step))
                os.fsync(f.fileno())
        except OSError:
            pass


def full(disk):
    subprocess.run([DRIVER, 'record', disk.store, 'state', 'trying'], check=True)
    fill(disk.mnt / 'filler', 1 << 20)
    fill(disk.mnt / 'rest', 4096)
    # Not even the smallest file is possible now.
    fill(disk.mnt / 'more', 4096, at_most=1)
    assert not (disk.mnt / 'more').stat().st_blocks
    subprocess.run([DRIVER, 'record', disk.store, 'state', 'bad'], check=True)
    disk.cut_power()
    disk.umount()
    disk.mount()
    assert (disk.store / 'records/state').read_text() == 'bad'


def main(work, what, n):
    seed = int(os.environ.get('SKERRY_SEED', time.time_ns() % 1000000))
    print('seed', seed)
    random.seed(seed)
    disk = Disk(pathlib.Path(work))
    disk.mount()
    if what == 'full':
        full(disk)
    else:
        rounds(disk, int(n), what != 'kills', what == 'unsynced')
    disk.umount()


if __name__ == '__main__':
    main(*sys.argv[1:])
