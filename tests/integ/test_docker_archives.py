# SPDX-License-Identifier: Apache-2.0
"""`docker load` of archives as they come from real tools, and of those that no tool would write."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import pytest

from docker_world import Machine, add, missing

pytestmark = pytest.mark.skipif(bool(missing() or not shutil.which('unsquashfs')), reason=missing() or 'needs unsquashfs')

LONG = '/'.join(['directory-with-a-long-name-%02d' % i for i in range(12)]) + '/' + 'f' * 200
GIB = 1 << 30


@pytest.fixture(scope='module')
def m():
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture(autouse=True)
def clean(m):
    yield
    m.until(lambda: not m.works(), 'an empty work folder')
    assert not list(m.inside('state/store/staging').glob('*.part'))
    for name in m.docker('images', '--format', '{{.Repository}}:{{.Tag}}').split():
        m.docker('rmi', name)
    assert not stored(m)


def stored(m):
    return list(m.inside('state/store/images').iterdir())


def entry(name, kind=tarfile.REGTYPE, data=b'', mode=0o644, uid=0, gid=0, link='', claim=None):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, gid, link
    info.size = len(data) if claim is None else claim
    info.mtime = 1000000000
    return info, data


def layer(*entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=form) as tar:
        for info, data in entries:
            if info.size != len(data):  # a claim; tarfile would want what is claimed
                out.write(info.tobuf(form))
                tar.offset = out.tell()
            else:
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def config_of(layers):
    return json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['/bin/x'], 'Env': ['A=1']},
                       'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(one) for one in layers]}}).encode()


def docker(layers, tag='real:1'):
    out = io.BytesIO()
    config = config_of(layers)
    with tarfile.open(fileobj=out, mode='w') as tar:
        add(tar, sha(config) + '.json', config)
        for i, one in enumerate(layers):
            add(tar, f'{i}/layer.tar', one)
        add(tar, 'manifest.json', json.dumps([{'Config': sha(config) + '.json', 'RepoTags': [tag],
                                               'Layers': [f'{i}/layer.tar' for i in range(len(layers))]}]).encode())
    return out.getvalue()


def oci(layers, pack=lambda b: b, kind='tar', tag='real:1'):
    out = io.BytesIO()
    config, blobs = config_of(layers), [pack(one) for one in layers]
    manifest = json.dumps({
        'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
        'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': 'sha256:' + sha(config), 'size': len(config)},
        'layers': [{'mediaType': f'application/vnd.oci.image.layer.v1.{kind}', 'digest': 'sha256:' + sha(b), 'size': len(b)}
                   for b in blobs]}).encode()
    with tarfile.open(fileobj=out, mode='w') as tar:
        add(tar, 'oci-layout', b'{"imageLayoutVersion": "1.0.0"}')
        for blob in (config, *blobs, manifest):
            add(tar, 'blobs/sha256/' + sha(blob), blob)
        add(tar, 'index.json', json.dumps({'schemaVersion': 2, 'manifests': [
            {'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': 'sha256:' + sha(manifest), 'size': len(manifest),
             'annotations': {'io.containerd.image.name': tag, 'org.opencontainers.image.ref.name': tag.split(':')[1]}}]}).encode())
    return out.getvalue()


def load(m, data):
    """What the daemon says."""
    return m.request('POST', '/images/load', data)[1].decode()


def root_of(m, data):
    """The lines of the one stored image's file system: {path: "mode owner size"}, and its file."""
    text = load(m, data)
    assert 'Loaded image' in text, text
    image, = stored(m)
    offset = image.read_bytes().index(b'hsqs')
    assert offset % 4096 == 0
    out = subprocess.run(['unsquashfs', '-o', str(offset), '-lln', image], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.splitlines():
        if 'squashfs-root' not in line:
            continue
        words, path = line.split(' squashfs-root', 1)
        parts = words.split()
        found[path.lstrip('/').split(' -> ')[0]] = (parts[0], parts[1])
    return found


def content(m, path):
    image, = stored(m)
    return subprocess.run(['unsquashfs', '-o', str(image.read_bytes().index(b'hsqs')), '-cat', image, path], capture_output=True,
                          check=True).stdout


BASE = layer(entry('etc/', tarfile.DIRTYPE, mode=0o755), entry('etc/old', data=b'old'), entry('etc/kept', data=b'kept'),
             entry('var/', tarfile.DIRTYPE, mode=0o755), entry('var/a', data=b'a'), entry('var/b', data=b'b'))
TOP_LAYER = layer(entry('etc/.wh.old'), entry('var/.wh..wh..opq'), entry('var/c', data=b'c'), entry('new', data=b'new', uid=1000, gid=50))


@pytest.mark.parametrize('make', [
    lambda: docker([BASE, TOP_LAYER]),
    lambda: gzip.compress(docker([BASE, TOP_LAYER])),
    lambda: oci([BASE, TOP_LAYER]),
    lambda: oci([BASE, TOP_LAYER], gzip.compress, 'tar+gzip'),
    lambda: oci([BASE, TOP_LAYER], lambda b: subprocess.run(['zstd', '-q', '-c'], input=b, capture_output=True, check=True).stdout,
                'tar+zstd'),
], ids=['docker-archive', 'docker-archive.gz', 'oci', 'oci-gzip', 'oci-zstd'])
def test_layers_in_all_their_forms(m, make):
    found = root_of(m, make())
    assert 'etc/old' not in found and 'var/a' not in found and 'var/b' not in found
    assert content(m, 'etc/kept') == b'kept' and content(m, 'var/c') == b'c'
    assert found['new'] == ('-rw-r--r--', '1000/50') and found['etc'] == ('drwxr-xr-x', '0/0')
    assert not [path for path in found if '.wh.' in path]


def test_owners_and_modes_are_kept_by_a_child_that_cannot_set_them(m):
    found = root_of(m, docker([layer(
        entry('./', tarfile.DIRTYPE, mode=0o700, uid=7, gid=8), entry('bin/', tarfile.DIRTYPE, mode=0o755),
        entry('bin/su', data=b'x', mode=0o4755), entry('secret', data=b'y', mode=0o000, uid=12), entry('tmp/', tarfile.DIRTYPE, mode=0o1777),
        entry('closed/', tarfile.DIRTYPE, mode=0o000, uid=99, gid=99), entry('closed/in', data=b'z', mode=0o400),
        entry('link', tarfile.SYMTYPE, link='bin/su', mode=0o777, uid=3))]))
    assert found[''] == ('drwx------', '7/8') and found['bin/su'] == ('-rwsr-xr-x', '0/0')
    assert found['secret'] == ('----------', '12/0') and found['tmp'] == ('drwxrwxrwt', '0/0')
    assert found['closed'] == ('d---------', '99/99') and found['closed/in'] == ('-r--------', '0/0')
    assert found['link'][0][0] == 'l'


def test_hard_links(m):
    found = root_of(m, docker([layer(entry('one', data=b'same', uid=5)), layer(entry('dir/', tarfile.DIRTYPE, mode=0o755),
                                                                             entry('dir/two', tarfile.LNKTYPE, link='one'))]))
    assert content(m, 'dir/two') == b'same' and found['dir/two'] == found['one']


@pytest.mark.parametrize('form', [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=['pax', 'gnu'])
def test_long_names(m, form):
    name = LONG + 'ü'
    found = root_of(m, docker([layer(entry(name, data=b'far'), entry('short', tarfile.SYMTYPE, link=name), form=form)]))
    assert name in found and content(m, name) == b'far'


def sparse(size):
    """GNU tar's own sparse file: a hole of @size with a word at its end."""
    with tempfile.NamedTemporaryFile(prefix='skerry-sparse-') as f:
        f.seek(size)
        f.write(b'end')
        f.flush()
        folder, name = os.path.split(f.name)
        return subprocess.run(['tar', '--sparse', '--format=gnu', '--transform', 's,.*,hole,', '-C', folder, '-cf', '-', name],
                              capture_output=True, check=True).stdout


def test_sparse_files(m):
    root_of(m, docker([sparse(1 << 20)]))
    assert content(m, 'hole') == bytes(1 << 20) + b'end'


@pytest.mark.parametrize('make, words', [
    (lambda: [sparse(5 * GIB)], 'more than'),
    (lambda: [layer(entry('big', claim=5 * GIB))], ''),
    (lambda: [layer(entry('big', claim=1 << 62))], ''),
    (lambda: [layer(entry('a', tarfile.CHRTYPE))], 'device'),
    (lambda: [layer(entry('etc/b', tarfile.BLKTYPE))], 'device'),
    (lambda: [layer(entry('pipe', tarfile.FIFOTYPE))], ''),
    (lambda: [layer(entry('out', tarfile.SYMTYPE, link='/etc'), entry('out/passwd', data=b'x'))], 'out'),
    (lambda: [layer(entry('out', tarfile.SYMTYPE, link='../../..')), layer(entry('out/x', data=b'x'))], 'out'),
    (lambda: [layer(entry('self', tarfile.SYMTYPE, link='self'), entry('self/x', data=b'x'))], 'self'),
    (lambda: [layer(entry('hard', tarfile.LNKTYPE, link='/etc/passwd'))], 'passwd'),
    (lambda: [layer(entry('hard', tarfile.LNKTYPE, link='../../etc/passwd'))], 'leave the root'),
    (lambda: [layer(entry('s', tarfile.SYMTYPE, link='/etc/shadow'), entry('hard', tarfile.LNKTYPE, link='s'))], 'hard'),
    (lambda: [layer(entry('../up', data=b'x'))], 'up'),
    (lambda: [layer(entry('d/.wh...'))], ''),
    (lambda: [layer(entry('.wh.'))], ''),
    (lambda: [layer(entry('/abs', data=b'x'))], 'abs'),
    (lambda: [layer(entry('new\nline', data=b'x'))], ''),
    (lambda: [layer(entry('/'.join(['d'] * 200), data=b'x'))], ''),
], ids=['sparse 5 GiB', 'claims 5 GiB', 'claims 4 EiB', 'character device', 'block device', 'pipe', 'link to a folder outside',
        'link of a lower layer', 'link to itself', 'hard link outside', 'hard link up', 'hard link to a link', 'up',
        'marker of a parent', 'marker of nothing', 'absolute', 'line break', 'deep'])
def test_refused(m, make, words):
    text = load(m, docker(make()))
    assert 'Loaded' not in text and words in text and json.loads(text.splitlines()[-1]), text
    assert not stored(m)


def test_devices_of_dev_are_left_out(m):
    found = root_of(m, docker([layer(entry('dev/', tarfile.DIRTYPE, mode=0o755), entry('dev/null', tarfile.CHRTYPE),
                                     entry('dev/pipe', tarfile.FIFOTYPE), entry('dev/x', data=b'x'))]))
    assert 'dev/null' not in found and 'dev/pipe' not in found and 'dev/x' in found


def test_cut_off_anywhere(m):
    """Nothing is stored, whatever the offset."""
    data = docker([BASE, TOP_LAYER])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        last = members[-1]
        end = last.offset_data + last.size
        edges = {edge + d for one in members for edge in (one.offset, one.offset_data, one.offset_data + one.size)
                 for d in (-1, 0, 1, 511, 512)}
    for cut in sorted(c for c in edges | set(range(1, end, 977)) if 0 < c < end):
        text = load(m, data[:cut])
        assert 'Loaded' not in text, cut
        assert json.loads(text.splitlines()[-1])
        assert not stored(m), cut
    assert 'Loaded image' in load(m, data)


def test_one_wrong_byte(m):
    """In a layer or its description: the digests tell. In the outer headers it may not matter, but never stores another image."""
    data = bytearray(oci([BASE, TOP_LAYER]))
    text = load(m, bytes(data))
    assert 'Loaded' in text
    good, = [p.name for p in stored(m)]
    for at in range(0, len(data), 1499):
        data[at] ^= 0x10
        load(m, bytes(data))
        assert [p.name for p in stored(m)] == [good], at
        data[at] ^= 0x10
