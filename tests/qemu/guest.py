# SPDX-License-Identifier: Apache-2.0
"""What a test machine is made of: the guest (kept below build/ until its inputs change), our packages, a cargo."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
PACKAGES = BUILD / 'packages'
SUITE = os.environ.get('SKERRY_GUEST_SUITE', 'trixie')
INSTALLED = ('libskerry0', 'skerry', 'skerry-device', 'skerry-hub')


def package_files():
    subprocess.run([TOP / 'tools/package', '--if-changed'], check=True, stdout=subprocess.DEVNULL)
    return [next(PACKAGES.glob(f'{name}_*.deb')) for name in INSTALLED]


def dependencies(debs):
    """Names of the packages that ours depend on: the first of each choice."""
    names = set()
    for deb in debs:
        text = subprocess.run(['dpkg-deb', '-f', deb, 'Depends'], check=True, capture_output=True, text=True).stdout
        names |= {re.split(r'[ |(]', choice.strip())[0] for choice in text.split(',')}
    return sorted(names - set(INSTALLED))


def make(debs):
    """The folder of the guest."""
    depends = ','.join(dependencies(debs))
    key = hashlib.sha256(depends.encode())
    for path in [HERE / 'make-guest', *sorted((HERE / 'rootfs').rglob('*'))]:
        if path.is_file():
            key.update(path.read_bytes())
    folder = BUILD / 'guest' / f'{SUITE}-{key.hexdigest()[:16]}'
    if not (folder / 'root.img').exists():
        for old in folder.parent.glob(f'{SUITE}-*'):
            shutil.rmtree(old)
        subprocess.run([HERE / 'make-guest', SUITE, folder, depends], check=True)
        give_to_owner(folder.parent)
    return folder


def give_to_owner(folder):
    """Of the build folder: who made that must be able to remove this."""
    owner = BUILD.stat()
    for path in [folder, *folder.rglob('*')]:
        os.chown(path, owner.st_uid, owner.st_gid)


def make_cargo(image, folders):
    """An ext4 image with a copy of each folder: name in the image -> files."""
    staged = image.with_suffix('.d')
    for name, files in folders.items():
        (staged / name).mkdir(parents=True)
        for f in files:
            shutil.copy(f, staged / name)
    size = sum(p.stat().st_size for p in staged.rglob('*'))
    subprocess.run(['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-d', staged, image,
                    f'{size * 5 // 4 // 1024 + 4096}k'], check=True)
    shutil.rmtree(staged)
    return image
