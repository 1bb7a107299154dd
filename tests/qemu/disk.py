# SPDX-License-Identifier: Apache-2.0
"""A disk with a cache that a power cut empties.

A plain file is what is on the platter. While the machine is on, QEMU writes to a throw-away layer above it and
logs each write and flush in order (its blklogwrites filter, the format of Linux' dm-log-writes). When the machine
is off, the log is played onto the file: all of it after a shutdown; after a power cut all up to the last flush,
and of the writes since then a random part, in random order, single sectors of a write torn off.
"""
import pathlib
import struct
import subprocess

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR = 512


class Disk:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.layer, self.log = self.path.with_suffix('.layer'), self.path.with_suffix('.log')

    def copy(self, image):
        subprocess.run(['cp', '--sparse=always', image, self.path], check=True)

    def remove(self):
        for path in (self.path, self.layer, self.log):
            path.unlink(missing_ok=True)

    def options(self):
        """QEMU's options for it, and a fresh layer and log."""
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', self.path, self.layer],
                       check=True)
        self.log.write_bytes(b'')
        return ['-blockdev', f'qcow2,node-name=layer,file.driver=file,file.filename={self.layer},cache.no-flush=on',
                '-blockdev', f'blklogwrites,node-name=disk,file=layer,log.driver=file,log.filename={self.log}',
                '-device', 'virtio-blk-pci,drive=disk,write-cache=on']

    def entries(self):
        """(sector, flags, data) in the order in which the guest sent them; ends where the log was cut off."""
        with open(self.log, 'rb') as f:
            head = f.read(28)
            if len(head) < 28:
                return
            magic, version, _, size = struct.unpack('<QQQI', head)
            assert (magic, version) == (MAGIC, VERSION), 'no log of writes'
            at = size
            while True:
                f.seek(at)
                row = f.read(32)
                if len(row) < 32 or row == bytes(32):
                    return
                sector, sectors, flags, length = struct.unpack('<QQQQ', row)
                at += size
                # A discard has no data in the log, and none has to be lost: the old content may come back.
                data = b''
                if not flags & DISCARD:
                    f.seek(at)
                    length = sectors * size
                    data = f.read(length)
                    if len(data) < length:
                        return
                    at += length
                yield sector * size, flags, data

    def settle(self, rng=None):
        """After the machine went off. With @rng the power was cut: what was not flushed may be lost.

        Returns how many writes were flushed, and how many of the others were lost."""
        flushed, pending, lost = 0, [], 0
        with open(self.path, 'r+b') as f:
            for at, flags, data in self.entries():
                if data:
                    pending.append((at, data))
                if flags & FLUSH or (flags & FUA and not rng):
                    flushed += len(pending)
                    write_all(f, pending)
                    pending = []
                elif flags & FUA:
                    flushed += 1
                    write_all(f, [pending[-1]])
            if rng:
                kept = tear(rng, pending)
                lost = len(pending) - len(kept)
                pending = kept
            write_all(f, pending)
        return flushed, lost


def write_all(f, writes):
    for at, data in writes:
        f.seek(at)
        f.write(data)


def tear(rng, writes):
    """A disk's cache writes back what it wants, in any order, and the power goes within one of them."""
    kept = [w for w in writes if rng.random() < 0.5]
    rng.shuffle(kept)
    if kept:
        at, data = kept[-1]
        kept[-1] = (at, data[:rng.randrange(0, len(data) + 1, SECTOR)])
    return kept
