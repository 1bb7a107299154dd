# SPDX-License-Identifier: Apache-2.0
"""skerry capsule build, show and verify, on real archives, folders and Debian packages."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', pathlib.Path(__file__).resolve().parents[2] / 'build'))
SKERRY = BUILD / 'src/cli/skerry'
FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

pytestmark = pytest.mark.skipif(not shutil.which('mksquashfs'), reason='squashfs-tools is not installed')


def run(*args, ok=True, cwd=None, env=None, stdin=None):
    done = subprocess.run([SKERRY, *args], capture_output=True, cwd=cwd, input=stdin, env={**os.environ, **(env or {})})
    assert (done.returncode == 0) == ok, done.stderr.decode()
    return done


def build(*args, cwd, **more):
    return json.loads(run('capsule', 'build', *args, '--json', cwd=cwd, **more).stdout)


def refused(*args, cwd, **more):
    answer = json.loads(run('capsule', 'build', *args, '--json', ok=False, cwd=cwd, **more).stdout)
    return answer['error'], answer['message']


def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
        for name, kind, content, *mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.mode = kind, 1_600_000_000, mode[0] if mode else 0o755
            info.uid = info.gid = 33
            data = content.encode() if kind == FILE else b''
            info.size = len(data)
            if kind in (LINK, HARD):
                info.linkname = content
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def config(layers, arch='amd64', **words):
    return json.dumps({'architecture': arch, 'os': 'linux', 'config': words,
                       'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{sha(layer)}' for layer in layers]}}).encode()


def members(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def docker_archive(layers, **words):
    files = {f'{i}/layer.tar': layer for i, layer in enumerate(layers)}
    manifest = [{'Config': 'c.json', 'RepoTags': ['shop/web:1.2'], 'Layers': list(files)}]
    return members({**files, 'c.json': config(layers, **words), 'manifest.json': json.dumps(manifest).encode()})


def oci_layout(images, compress=gzip.compress):
    """images: arch -> layers"""
    blobs, descriptors = {}, []

    def blob(data):
        blobs[f'blobs/sha256/{sha(data)}'] = data
        return {'digest': f'sha256:{sha(data)}', 'size': len(data)}
    for arch, layers in images.items():
        manifest = {'schemaVersion': 2, 'config': blob(config(layers, arch, Cmd=[f'/{arch}'])),
                    'layers': [blob(compress(layer)) for layer in layers]}
        descriptors.append({**blob(json.dumps(manifest).encode()), 'platform': {'os': 'linux', 'architecture': arch}})
    index = {'schemaVersion': 2, 'manifests': descriptors}
    return members({'oci-layout': b'{"imageLayoutVersion": "1.0.0"}', 'index.json': json.dumps(index).encode(), **blobs})


def listing(image, cwd):
    out = subprocess.run(['unsquashfs', '-o', '4096', '-lln', image], capture_output=True, cwd=cwd, check=True).stdout.decode()
    return {line.split()[5].removeprefix('squashfs-root').lstrip('/'): line for line in out.splitlines()[0:] if 'squashfs-root' in line}


BASE = tar(('./', DIR, ''), ('usr/lib', DIR, ''), ('lib', LINK, 'usr/lib'), ('lib/a', FILE, 'one'), ('old', FILE, 'x'))
TOP = tar(('.wh.old', FILE, ''), ('etc/conf', FILE, 'two', 0o640))


def test_docker_archive(tmp_path):
    words = {'Entrypoint': ['/ep'], 'Cmd': ['-x'], 'Env': ['A=b'], 'User': '33', 'WorkingDir': '/srv', 'StopSignal': 'SIGQUIT',
             'Healthcheck': {'Test': ['CMD', '/ok'], 'Interval': 5_000_000_000}}
    (tmp_path / 'web.tar').write_bytes(docker_archive([BASE, TOP], **words))
    made = build('web.tar', '--version', '1.2', cwd=tmp_path)
    image = tmp_path / 'web.itb'
    assert made['file'] == 'web.itb' and made['digest'] == sha(image.read_bytes()) and made['size_bytes'] == image.stat().st_size
    shown = json.loads(run('capsule', 'show', image, '--json').stdout)
    assert shown['name'] == 'web' and shown['version'] == '1.2' and shown['arch'] == 'amd64' and shown['digest'] == made['digest']
    assert shown['rootfs']['type'] == 'squashfs' and shown['rootfs']['offset_bytes'] == 4096
    run_words = shown['run']
    assert run_words['command'] == ['/ep'] and run_words['arguments'] == ['-x'] and run_words['environment'] == {'A': 'b'}
    assert run_words['user'] == '33' and run_words['working_dir'] == '/srv' and run_words['stop_signal'] == 'SIGQUIT'
    assert run_words['health']['command'] == ['/ok'] and run_words['health']['interval_ms'] == 5000
    files = listing(image, tmp_path)
    assert 'old' not in files and '.wh.old' not in files
    assert files['usr/lib/a'].startswith('-rwxr-xr-x 33/33') and files['etc/conf'].startswith('-rw-r----- 33/33')
    assert {'dev', 'proc', 'sys', 'run', 'tmp'} <= files.keys()
    run('capsule', 'verify', image)


def test_standard_input_and_tag_name(tmp_path):
    made = build('-', cwd=tmp_path, stdin=gzip.compress(docker_archive([BASE])))
    assert made['file'] == 'web.itb'


def test_oci_platforms(tmp_path):
    archive = tmp_path / 'multi.tar'
    archive.write_bytes(oci_layout({'amd64': [BASE], 'arm64': [BASE, TOP]}))
    build('multi.tar', '--arch', 'arm64', '-o', 'arm.itb', cwd=tmp_path)
    shown = json.loads(run('capsule', 'show', tmp_path / 'arm.itb', '--json').stdout)
    assert shown['arch'] == 'arm64' and shown['run']['arguments'] == ['/arm64']
    slug, text = refused('multi.tar', '--arch', 'armhf', cwd=tmp_path)
    assert slug == 'bad-archive' and 'amd64, arm64' in text


@pytest.mark.skipif(not shutil.which('zstd'), reason='zstd is not installed')
def test_zstd_layers(tmp_path):
    def zstd(data):
        return subprocess.run(['zstd', '-q', '-c'], input=data, capture_output=True, check=True).stdout
    (tmp_path / 'z.tar').write_bytes(oci_layout({'amd64': [BASE]}, zstd))
    build('z.tar', cwd=tmp_path)
    assert 'usr/lib/a' in listing('z.itb', tmp_path)


def test_forms_of_one_image_agree(tmp_path):
    """However it was saved and compressed, and whenever it is built: one digest."""
    (tmp_path / 'd.tar').write_bytes(docker_archive([BASE, TOP], Cmd=['/amd64']))
    (tmp_path / 'o.tar').write_bytes(oci_layout({'amd64': [BASE, TOP]}))
    (tmp_path / 'elsewhere').mkdir()
    one = build('d.tar', '--name', 'x', '-o', '1.itb', cwd=tmp_path)
    time.sleep(1.1)
    two = build('../o.tar', '--name', 'x', '-o', '2.itb', cwd=tmp_path / 'elsewhere', env={'TMPDIR': str(tmp_path)})
    assert one['digest'] == two['digest']


@pytest.mark.parametrize('layer, word', [
    (tar(('../evil', FILE, 'x')), '..'),
    (tar(('/evil', FILE, 'x')), 'absolute'),
    (tar(('up', LINK, '../..'), ('up/evil', FILE, 'x')), 'leads out'),
    (tar(('abs', LINK, '/tmp'), ('abs/evil', FILE, 'x')), 'leads out'),
    (tar(('h', HARD, '../../etc/passwd')), '..'),
    (tar(('sda', tarfile.BLKTYPE, '')), 'device'),
    (tar(('.wh...', FILE, '')), 'whiteout'),
])
def test_hostile_layers(tmp_path, layer, word):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'bad.tar').write_bytes(docker_archive([BASE, layer]))
    slug, text = refused('bad.tar', cwd=tmp_path, env={'TMPDIR': str(tmp_path / 'work')})
    assert slug == 'bad-archive' and word in text
    assert sorted(os.listdir(tmp_path)) == ['bad.tar', 'work'] and not os.listdir(tmp_path / 'work')


def test_bomb(tmp_path):
    """One GiB of zeros in a few KB: stopped at the bound."""
    bomb = io.BytesIO()
    with gzip.open(bomb, 'w', 1) as z:
        for _ in range(1024):
            z.write(bytes(1 << 20))
    (tmp_path / 'bomb.tar').write_bytes(bomb.getvalue())
    assert refused('bomb.tar', '--max-unpacked', '16M', cwd=tmp_path)[0] == 'bad-archive'


def test_a_size_that_is_claimed_is_refused_before_it_is_read(tmp_path):
    info = tarfile.TarInfo('0/layer.tar')
    info.size = 5 << 30
    (tmp_path / 'claims.tar').write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    slug, text = refused('claims.tar', '--max-unpacked', '1G', cwd=tmp_path)
    assert slug == 'bad-archive' and '0/layer.tar' in text and 'more than is allowed' in text


def folder(path):
    (path / 'bin').mkdir(parents=True)
    (path / 'bin/app').write_text('#!/bin/sh\n')
    (path / 'bin/app').chmod(0o755)
    return path


def test_folder_twice(tmp_path):
    one, two = folder(tmp_path / 'a'), folder(tmp_path / 'b')
    os.utime(two / 'bin/app', (1, 1))
    made = [build(path, '--name', 'app', '--command', '/bin/app', '-o', f'{path.name}.itb', cwd=tmp_path) for path in (one, two)]
    assert made[0]['digest'] == made[1]['digest']
    assert sorted(os.listdir(one)) == ['bin'], 'the folder itself must stay as it was'
    later = build(one, '--name', 'app', '--command', '/bin/app', cwd=tmp_path, env={'SOURCE_DATE_EPOCH': '1700000000'})
    assert later['digest'] != made[0]['digest']


def test_copies(tmp_path):
    folder(tmp_path / 'a')
    (tmp_path / 'site').mkdir()
    (tmp_path / 'site/index.html').write_text('hello')
    build('a', '--copy', 'site:/srv/www', '--copy', 'site/index.html:/etc/motd', '-o', 'app.itb', cwd=tmp_path)
    files = listing('app.itb', tmp_path)
    assert files['srv/www/index.html'].startswith('-rw-r--r-- 0/0') and 'etc/motd' in files
    assert refused('a', '--copy', 'absent:/x', cwd=tmp_path)[0] == 'not-found'
    assert refused('a', '--copy', 'site', cwd=tmp_path)[0] == 'bad-value'
    assert refused('a', '--copy', 'site:/../x', cwd=tmp_path)[0] == 'bad-archive'


def open_to_all(path):
    path.chmod(0o777)
    for parent in path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != pathlib.Path('/'):
            parent.chmod(parent.stat().st_mode | 0o005)


AS_USER = ['setpriv', '--reuid', '1234', '--regid', '1234', '--clear-groups']


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('setpriv'), reason='becomes another user')
def test_root_and_user_make_the_same(tmp_path):
    open_to_all(tmp_path)
    (tmp_path / 'web.tar').write_bytes(docker_archive([BASE, tar(('s ecret', FILE, 'x', 0o600), ('locked', DIR, '', 0o000), ('suid', FILE, '', 0o4755))]))
    (tmp_path / 'new').write_text('replaced')
    # Files of the image that a copy replaces, and a file that two copies name.
    args = ['web.tar', '--name', 'x', '--copy', 'new:/s ecret', '--copy', 'web.tar:/twice', '--copy', 'new:/twice']
    mine = build(*args, '-o', 'mine.itb', cwd=tmp_path)
    theirs = subprocess.run([*AS_USER, SKERRY, 'capsule', 'build', *args, '-o', 'theirs.itb', '--json'], cwd=tmp_path, capture_output=True)
    assert theirs.returncode == 0, theirs.stdout
    assert json.loads(theirs.stdout)['digest'] == mine['digest']


@pytest.mark.skipif(os.geteuid() != 0, reason='becomes another user, with ids of its own in files of its own')
def test_debian_packages_as_a_user(tmp_path):
    open_to_all(tmp_path)
    (tmp_path / 'new').write_text('replaced')
    args = ['--packages', 'busybox-static', '--suite', 'bookworm', '--command', '/bin/busybox', '--name', 'bb',
            '--copy', 'new:/usr/share/doc/busybox-static/copyright']
    mine = build(*args, '-o', 'mine.itb', cwd=tmp_path)
    (tmp_path / 'passwd').write_text(pathlib.Path('/etc/passwd').read_text() + f'builder:x:1234:1234::{tmp_path}:/bin/sh\n')
    (tmp_path / 'sub').write_text('builder:200000:65536\n')
    mounts = 'touch /etc/subuid /etc/subgid; for f in passwd:passwd sub:subuid sub:subgid; do mount --bind ${f%:*} /etc/${f#*:}; done'
    argv = [*AS_USER, SKERRY, 'capsule', 'build', *args, '-o', 'theirs.itb', '--json']
    theirs = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-ec', mounts + '; exec "$@"', 'sh', *argv],
                            cwd=tmp_path, env=os.environ | {'HOME': str(tmp_path)}, capture_output=True)
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    assert json.loads(theirs.stdout)['digest'] == mine['digest']


@pytest.mark.skipif(not shutil.which('dumpimage'), reason='u-boot-tools is not installed')
def test_u_boot_tools_list_it(tmp_path):
    folder(tmp_path / 'a')
    build('a', '--version', '1.0', '-o', 'app.itb', cwd=tmp_path)
    out = subprocess.run(['dumpimage', '-l', 'app.itb'], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert 'Skerry capsule app 1.0' in out and 'Filesystem Image' in out and "'capsule'" in out


@pytest.mark.skipif(not shutil.which('mkfs.erofs'), reason='erofs-utils is not installed')
def test_erofs(tmp_path):
    folder(tmp_path / 'a')
    build('a', '--rootfs', 'erofs', '-o', 'app.itb', cwd=tmp_path)
    data = (tmp_path / 'app.itb').read_bytes()
    assert data[4096 + 1024:][:4] == bytes.fromhex('e2e1f5e0')


@pytest.mark.parametrize('at', [4, 5000, -1])
def test_damage_is_found(tmp_path, at):
    folder(tmp_path / 'a')
    build('a', '-o', 'app.itb', cwd=tmp_path)
    whole = (tmp_path / 'app.itb').read_bytes()
    data = bytearray(whole)
    data[at] ^= 0x55
    (tmp_path / 'app.itb').write_bytes(data)
    assert run('capsule', 'verify', tmp_path / 'app.itb', ok=False).returncode == 8
    (tmp_path / 'app.itb').write_bytes(whole[:-1])
    assert b'cut off' in run('capsule', 'verify', tmp_path / 'app.itb', ok=False).stderr


def test_wrong_usage(tmp_path):
    folder(tmp_path / 'a')
    for args, slug in [((), 'usage'), (('a', '--packages', 'x'), 'usage'), (('absent',), 'not-found'),
                       (('a', '--arch', 'mips'), 'bad-value'), (('a', '--name', '../x'), 'bad-name'),
                       (('a', '--version', 'new'), 'bad-value'), (('a', '--env', 'x'), 'bad-value'),
                       (('a', '--user', 'a b'), 'bad-image'), (('a', '--compression', 'zip'), 'bad-value'),
                       (('a', '--health-http', 'x'), 'bad-value'), (('a', '--health-tcp', '1', '--no-health'), 'usage'),
                       (('--packages', 'a;b'), 'bad-value'), (('--packages', '--x'), 'bad-value')]:
        assert refused(*args, cwd=tmp_path)[0] == slug, args
    assert os.listdir(tmp_path) == ['a']


def test_output_is_replaced_whole_or_not_at_all(tmp_path):
    folder(tmp_path / 'a')
    build('a', '-o', 'app.itb', cwd=tmp_path)
    before = (tmp_path / 'app.itb').read_bytes()
    refused('a', '-o', 'app.itb', '--user', 'a b', cwd=tmp_path)
    assert (tmp_path / 'app.itb').read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ['a', 'app.itb']


@pytest.mark.skipif(not shutil.which('mmdebstrap'), reason='mmdebstrap is not installed')
@pytest.mark.skipif(os.geteuid() != 0, reason='mmdebstrap as a user needs ids of its own')
def test_debian_packages_twice(tmp_path):
    args = ['--packages', 'busybox-static', '--suite', 'bookworm', '--command', '/bin/busybox', '--name', 'bb']
    one = build(*args, '-o', '1.itb', cwd=tmp_path)
    (tmp_path / 'elsewhere').mkdir()
    time.sleep(1.1)
    two = build(*args, '-o', '2.itb', cwd=tmp_path / 'elsewhere', env={'TMPDIR': str(tmp_path)})
    assert one['digest'] == two['digest'] and one['size_bytes'] < 3 << 20
    files = listing('1.itb', tmp_path)
    assert 'usr/bin/busybox' in files and 'etc/passwd' in files and 'usr/share/doc/busybox-static/copyright' in files
    assert not any(name.startswith(('usr/share/man', 'var/lib/apt', 'etc/apt', 'dev/')) for name in files)
    listed = subprocess.run(['unsquashfs', '-o', '4096', '-cat', '1.itb', 'usr/share/skerry/packages'], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.startswith('busybox-static ')


@pytest.mark.skipif(not shutil.which('mmdebstrap'), reason='mmdebstrap is not installed')
@pytest.mark.skipif(os.geteuid() != 0, reason='mmdebstrap as a user needs ids of its own')
def test_unknown_package(tmp_path):
    slug, text = refused('--packages', 'no-such-package-here', '--suite', 'bookworm', cwd=tmp_path)
    assert slug == 'child-failed' and 'no-such-package-here' in text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('tool, package, args', [('mksquashfs', 'squashfs-tools', ['a']), ('mmdebstrap', 'mmdebstrap', ['--packages', 'x'])])
def test_missing_tool_names_its_package(tmp_path, tool, package, args):
    folder(tmp_path / 'a')
    slug, text = refused(*args, '--mirror', 'file:/nowhere', cwd=tmp_path, env={'PATH': '/nowhere'})
    assert slug == 'not-found' and package in text


def messy_folder(top, order):
    """The same content each time: entries made in another order, hard links or copies."""
    (top / 'usr/bin').mkdir(parents=True)
    for i in sorted(range(40), key=lambda i: (i * order) % 41):
        (top / f'usr/bin/f{i}').write_text(f'{i}' * 100)
    (top / 'usr/bin/f1').chmod(0o4755)
    (top / 'usr/a').write_text('twice')
    if order % 2:
        os.link(top / 'usr/a', top / 'usr/b')
    else:
        shutil.copy(top / 'usr/a', top / 'usr/b')
    os.utime(top / 'usr/a', (order, order))
    return top


@pytest.mark.parametrize('more', [[], ['--copy', 'page:/srv/page']])
def test_only_content_counts(tmp_path, more):
    (tmp_path / 'page').write_text('page')
    digests = set()
    for order, locale, zone, mask in ((7, 'C', 'UTC', 0o022), (12, 'C.UTF-8', 'Asia/Tokyo', 0o077)):
        messy_folder(tmp_path / f'{order}', order)
        env = {'LC_ALL': locale, 'TZ': zone}
        before = os.umask(mask)
        try:
            digests.add(build(f'{order}', *more, '--name', 'n', '--command', '/x', '-o', f'{order}.itb', cwd=tmp_path,
                              env=env)['digest'])
        finally:
            os.umask(before)
    assert len(digests) == 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('setpriv'), reason='becomes another user')
def test_a_user_who_adds_a_file_loses_no_mode(tmp_path):
    tmp_path.chmod(0o777)
    messy_folder(tmp_path / 'a', 1)
    (tmp_path / 'page').write_text('page')
    args = ['capsule', 'build', 'a', '--copy', 'page:/srv/page', '--name', 'n', '--command', '/x']
    run(*args, '-o', 'root.itb', cwd=tmp_path)
    subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', SKERRY, *args, '-o', 'user.itb'],
                   cwd=tmp_path, check=True, env={**os.environ, 'TMPDIR': str(tmp_path)})
    assert (tmp_path / 'root.itb').read_bytes() == (tmp_path / 'user.itb').read_bytes()


def test_output_that_cannot_be_is_told_before_the_work(tmp_path):
    (tmp_path / 'a').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    reader = os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)
    for output, words in (('none/x.itb', 'no such folder'), ('a', 'it is a folder'), ('b/', 'it is a folder'),
                          ('pipe', 'no file')):
        done = run('capsule', 'build', 'a', '--command', '/x', '--name', 'n', '-o', output, ok=False, cwd=tmp_path)
        assert words in done.stderr.decode(), output
        assert 'packing' not in done.stderr.decode() or output == 'pipe'
    os.close(reader)
    assert (tmp_path / 'pipe').is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'pipe']


def test_output_through_a_symlink_lands_behind_it(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'there').mkdir()
    (tmp_path / 'there/x.itb').write_text('old')
    (tmp_path / 'x.itb').symlink_to('there/x.itb')
    build('a', '--command', '/x', '-o', 'x.itb', cwd=tmp_path)
    assert (tmp_path / 'x.itb').is_symlink()
    run('capsule', 'verify', 'there/x.itb', cwd=tmp_path)
    (tmp_path / 'dangling').symlink_to('nowhere/y')
    assert refused('a', '--command', '/x', '--name', 'n', '-o', 'dangling', cwd=tmp_path)[0] == 'not-found'


def test_builds_of_one_output_at_once(tmp_path):
    messy_folder(tmp_path / 'a', 3)
    args = [SKERRY, 'capsule', 'build', 'a', '--command', '/x', '-o', 'x.itb']
    builds = [subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [b.wait(120) for b in builds] == [0] * 4
    run('capsule', 'verify', 'x.itb', cwd=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'x.itb']


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def heed():
    """A shell's background job, such as this test may be, is started with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_what_is_ignored_does_not_interrupt(tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    (tmp_path / 'a.tar').write_bytes(docker_archive([BASE]))
    archive = (tmp_path / 'a.tar').read_bytes()
    building = subprocess.Popen([SKERRY, 'capsule', 'build', '-', '--name', 'n', '-o', 'x.itb'], cwd=tmp_path,
                                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGHUP, signal.SIGCHLD)],
                                env={**os.environ, 'TMPDIR': str(work)})
    building.stdin.write(archive[:2048])
    building.stdin.flush()
    until(lambda: list(work.glob('*/spool')))
    building.send_signal(signal.SIGHUP)
    building.stdin.write(archive[2048:])
    building.stdin.close()
    assert building.wait(120) == 0
    run('capsule', 'verify', 'x.itb', cwd=tmp_path)
    ignores = {'preexec_fn': lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)}
    failed = subprocess.run([SKERRY, 'capsule', 'build', 'none', '--command', '/x'], cwd=tmp_path, capture_output=True, **ignores)
    assert failed.returncode == 3


@pytest.mark.parametrize('number', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_interrupted_while_an_endless_archive_comes(tmp_path, number):
    work = tmp_path / 'work'
    work.mkdir()
    args = [SKERRY, 'capsule', 'build', '-', '--name', 'n', '-o', 'x.itb']
    building = subprocess.Popen(args, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                preexec_fn=heed, env={**os.environ, 'TMPDIR': str(work)})
    building.stdin.write(tar(('blob', FILE, 'x' * 4096))[:2048])
    building.stdin.flush()
    until(lambda: list(work.glob('*/spool')))
    os.killpg(building.pid, getattr(signal, number))
    assert building.wait(60) == 1
    assert b'interrupted' in building.stderr.read()
    assert list(work.iterdir()) == [] and not list(tmp_path.glob('x.itb*'))


def test_interrupted_while_packing(tmp_path):
    """Only skerry itself gets the signal; the tool that it runs must not go on."""
    work, tools = tmp_path / 'work', tmp_path / 'tools'
    for folder in (work, tools, tmp_path / 'a'):
        folder.mkdir()
    (tools / 'mksquashfs').write_text(f'#!/bin/sh\necho $$ >{tmp_path}/pid\nwhile :; do echo x >>"$2"; sleep 0.1; done\n')
    (tools / 'mksquashfs').chmod(0o755)
    args = [SKERRY, 'capsule', 'build', 'a', '--command', '/x', '-o', 'x.itb']
    building = subprocess.Popen(args, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=heed,
                                env={**os.environ, 'TMPDIR': str(work), 'PATH': f'{tools}:{os.environ["PATH"]}'})
    until(lambda: (tmp_path / 'pid').exists() and (tmp_path / 'pid').read_text().endswith('\n'))
    building.send_signal(signal.SIGINT)
    assert building.wait(60) == 1
    assert b'interrupted' in building.stderr.read()
    assert not os.path.exists(f'/proc/{(tmp_path / "pid").read_text().strip()}')
    assert list(work.iterdir()) == [] and not list(tmp_path.glob('x.itb*'))


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a small disk')
@pytest.mark.parametrize('full', ['work', 'output'])
def test_full_disk(tmp_path, full):
    for name in ('work', 'output'):
        (tmp_path / name).mkdir()
    (tmp_path / 'output/x.itb').write_text('old')
    source = tmp_path / 'a'
    source.mkdir()
    (source / 'blob').write_bytes(os.urandom(4 << 20))
    script = (f'mount -t tmpfs -o size=1m none {full} && {{ [ {full} = work ] || echo old >output/x.itb; }} && '
              f'{SKERRY} capsule build a --command /x -o output/x.itb; echo $?; ls work; ls output; cat output/x.itb')
    done = subprocess.run(['unshare', '-m', 'sh', '-c', script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, 'TMPDIR': str(tmp_path / 'work')})
    assert 'No space left' in done.stderr, done.stderr
    assert done.stdout.split() == ['6', 'x.itb', 'old']


def test_what_show_prints_can_be_told_apart(tmp_path):
    words = {'Entrypoint': ['/ep'], 'Cmd': ['-g', 'daemon off;', "it's", '', '\x1b[31m'], 'Env': ['A=x\x9by']}
    (tmp_path / 'web.tar').write_bytes(docker_archive([BASE], **words))
    build('web.tar', cwd=tmp_path)
    shown = run('capsule', 'show', 'web.itb', cwd=tmp_path).stdout.decode()
    assert "\narguments       -g 'daemon off;' 'it'\\''s' '' ' [31m'\n" in shown
    assert all(c == '\n' or c.isprintable() for c in shown) and not any(line.endswith(' ') for line in shown.split('\n'))
