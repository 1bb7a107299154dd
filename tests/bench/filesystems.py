#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which file system a capsule image has: size, and time of programs run from it; prints the table of
docs/reference/capsule-image.md.

The root is unpacked from Debian packages. Each image is read once, so that it lies in the page cache,
then mounted afresh for each run, so that nothing of its files does: what counts is decompression, as
when a capsule is started. In ms from chroot's start to the program's end, least of the runs; the file
systems take turns.

usage: filesystems.py [RUNS]
"""
import sys

from lib import now_ns, own_view, sh, workdir

PACKAGES = 'base-files,coreutils,nginx-light,python3-minimal'
PROGRAMS = (('/bin/true',), ('/usr/sbin/nginx', '-v'), ('/usr/bin/python3', '-S', '-c', 'pass'))
SQUASHFS = ('mksquashfs', 'ROOT', 'IMAGE', '-noappend', '-quiet', '-no-progress', '-comp')
EROFS = ('mkfs.erofs', '--quiet')
KINDS = {
    'squashfs lz4, 64K, no fragments (default)': (*SQUASHFS, 'lz4', '-Xhc', '-b', '64K', '-no-fragments'),
    "squashfs lz4, 128K, fragments (the tool's own choice)": (*SQUASHFS, 'lz4', '-Xhc', '-b', '128K'),
    'squashfs zstd, 128K': (*SQUASHFS, 'zstd', '-b', '128K'),
    'squashfs, not compressed': (*SQUASHFS, 'lz4', '-b', '64K', '-no-fragments', '-noI', '-noD', '-noF', '-noX'),
    'erofs lz4hc, clusters of 4K': (*EROFS, '-zlz4hc', 'IMAGE', 'ROOT'),
    'erofs lz4hc, clusters of 64K': (*EROFS, '-zlz4hc', '-C65536', 'IMAGE', 'ROOT'),
    'erofs, not compressed': (*EROFS, 'IMAGE', 'ROOT'),
}


def run(image, kind, at, program):
    """ms of one program from the image, freshly mounted."""
    image.read_bytes()
    sh('mount', '-o', 'loop,ro', '-t', kind.split()[0].rstrip(','), image, at)
    try:
        start = now_ns()
        sh('chroot', at, *program, stderr=-3)
        return (now_ns() - start) / 1e6
    finally:
        sh('umount', at)


def main():
    own_view()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with workdir() as work:
        root, at, images, ms = work / 'root', work / 'at', {}, {}
        at.mkdir()
        sh('mmdebstrap', '--quiet', '--variant=extract', f'--include={PACKAGES}', 'bookworm', root)
        for n, (kind, argv) in enumerate(KINDS.items()):
            images[kind] = work / f'{n}.img'
            sh(*({'ROOT': root, 'IMAGE': images[kind]}.get(a, a) for a in argv), stderr=-3)
        for _ in range(runs):
            for kind, image in images.items():
                for program in PROGRAMS:
                    ms.setdefault((kind, program), []).append(run(image, kind, at, program))
        unpacked = int(sh('du', '-s', '--apparent-size', '-BM', root).split('M')[0])
        print(f'A root of {unpacked} MB.\n\n| file system | size MB |', ' | '.join(f"`{' '.join(p[:2])}`" for p in PROGRAMS), '|')
        print('|---|---|' + '---|' * len(PROGRAMS))
        for kind, image in images.items():
            print(f'| {kind} | {image.stat().st_size / 1e6:.1f} |', ' | '.join(f'{min(ms[kind, p]):.1f}' for p in PROGRAMS), '|')


if __name__ == '__main__':
    main()
