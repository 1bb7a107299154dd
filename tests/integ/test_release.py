# SPDX-License-Identifier: Apache-2.0
"""Keys and releases on the desk: what is signed, what is refused, and with which words."""
import json
import os
import shutil
import subprocess
import sys

import pytest

import tokens
from fleet import SKERRY, Failed, Fleet
from tokens import SOFTHSM


class Desk(Fleet):
    """Keys, images and releases without a hub; nothing here needs root."""

    def key(self, *argv):
        return self.skerry('key', *argv, '--dir', self.keys)

    def build(self, version='1.0', extra='', signer='builder', **kw):
        release = self.dir / f'r-{version}.skr'
        dts = self.dir / f'm-{version}.dts'
        dts.write_text(f'''/dts-v1/;
/ {{
	persistent-boot;
	release {{ project = "station"; version = "{version}"; compatible = "skerry,virtual"; {extra} }};
	apps {{ one {{ image = "one.itb"; }}; }};
}};
''')
        release.unlink(missing_ok=True)
        self.skerry('release', 'build', dts, '--images', self.images, '--key', kw.get('key', self.keys / f'{signer}.key'),
                    '--cert', self.keys / f'{signer}.pem', '-o', release)
        return release

    def verify(self, release, *argv, trust=None):
        return self.skerry('release', 'verify', release, '--trust', trust or self.keys, *argv)

    def refused(self, slug, release, *argv, **kw):
        """The sentence of the refusal, after checking its slug and exit status."""
        r = subprocess.run([str(a) for a in (SKERRY, 'release', 'verify', release, '--trust', kw.get('trust', self.keys), '--json', *argv)],
                           capture_output=True, text=True, env=self.env)
        assert r.returncode in (4, 8), (r.returncode, r.stdout, r.stderr)
        answer = json.loads(r.stdout)
        assert answer['error'] == slug, answer
        return answer['message']


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    d = Desk(tmp_path_factory.mktemp('desk'))
    d.make_keys()
    d.capsule('one', 'echo hello')
    return d


def test_a_release_verifies_and_shows(desk):
    release = desk.build('1.0')
    assert 'builder' in desk.verify(release)
    shown = json.loads(desk.skerry('release', 'show', release, '--json'))
    assert shown['version'] == '1.0'
    assert [i['name'] for i in shown['images']] == ['one.itb']


def test_the_same_input_gives_the_same_id(desk):
    desk.env['SOURCE_DATE_EPOCH'] = '1700000000'
    try:
        ids = {json.loads(desk.skerry('release', 'show', desk.build('1.1'), '--json'))['release'] for _ in range(2)}
    finally:
        del desk.env['SOURCE_DATE_EPOCH']
    assert len(ids) == 1


def test_no_changed_byte_changes_what_is_verified(desk, tmp_path):
    """Bytes that nobody relies on (a copy of the root's certificate rides along) may differ; the content may not."""
    release = desk.build('1.2')
    good, verified = release.read_bytes(), desk.verify(release)
    refusals = 0
    for at in range(0, len(good), 61):
        bad = bytearray(good)
        bad[at] ^= 0x20
        path = tmp_path / 'bad.skr'
        path.write_bytes(bad)
        r = subprocess.run([SKERRY, 'release', 'verify', path, '--trust', desk.keys], capture_output=True, text=True)
        assert r.returncode in (4, 8) or r.stdout == verified, (at, r.returncode, r.stderr)
        refusals += r.returncode != 0
    assert refusals > len(good) / 61 / 2


def test_every_truncation_is_refused(desk, tmp_path):
    good = desk.build('1.3').read_bytes()
    for length in [*range(0, 64), *range(64, len(good), 97)]:
        path = tmp_path / 'short.skr'
        path.write_bytes(good[:length])
        r = subprocess.run([SKERRY, 'release', 'verify', path, '--trust', desk.keys], capture_output=True, text=True)
        assert r.returncode == 8, (length, r.returncode, r.stderr)


def test_something_behind_the_end_is_refused(desk, tmp_path):
    path = tmp_path / 'long.skr'
    path.write_bytes(desk.build('1.4').read_bytes() + b'x')
    desk.refused('bad-release', path)


def test_another_root_is_not_trusted(desk, tmp_path):
    other = Desk(tmp_path / 'other')
    other.make_keys()
    assert 'root' in desk.refused('untrusted', desk.build('1.5'), trust=other.keys)


def test_a_revoked_signer_is_refused_everywhere(desk, tmp_path):
    desk.key('release', 'leaver')
    release = desk.build('1.6', signer='leaver')
    desk.verify(release)
    before = tmp_path / 'before'
    shutil.copytree(desk.keys, before)
    desk.key('revoke', 'leaver')
    desk.refused('revoked', release)
    desk.refused('revoked', release, '--no-clock')
    desk.verify(release, trust=before)  # a device that has not heard of it yet
    desk.verify(desk.build('1.7'))  # nobody else is touched


def test_expiry_counts_only_with_a_trusted_clock(desk):
    release = desk.build('1.8', 'expires = "2030-01-01";')
    desk.verify(release)
    desk.verify(release, '--no-clock')
    desk.refused('expired', release, '--at', '2030-01-01')


def test_a_certificate_past_its_date_is_refused(desk):
    desk.key('release', 'brief', '--days', '1')
    release = desk.build('1.9', signer='brief')
    desk.verify(release)
    desk.refused('expired', release, '--at', '2031-01-01')


def test_a_root_certificate_signs_no_release(desk):
    with pytest.raises(Failed) as e:
        desk.build('2.0', signer='ca')
    assert 'sign' in e.value.text


def test_older_versions_need_permission(desk):
    old = desk.build('2.1')
    assert 'older' in desk.refused('downgrade', old, '--running', '3.0')
    desk.verify(old, '--running', '2.1')
    desk.verify(desk.build('2.2', 'allow-downgrade;'), '--running', '3.0')


def test_other_device_types_are_refused(desk):
    assert 'acme,other' in desk.refused('wrong-device', desk.build('2.3'), '--type', 'acme,other')


def test_mistakes_in_a_manifest_do_not_crash_the_build(desk):
    dts = desk.dir / 'mistake.dts'
    dts.write_text('/dts-v1/;\n/ { release { project = "a"; version = "1"; compatible = "x,y"; }; persistent-boot; };\n')
    with pytest.raises(Failed) as e:
        desk.skerry('release', 'build', dts, '--key', desk.keys / 'builder.key', '--cert', desk.keys / 'builder.pem')
    assert e.value.code == 8 and 'mistake.dts:2' in e.value.text


def test_a_missing_image_is_named(desk):
    dts = desk.dir / 'missing.dts'
    dts.write_text('/dts-v1/;\n/ { release { project = "a"; version = "1"; compatible = "x,y"; }; apps { m { image = "none.itb"; }; }; };\n')
    with pytest.raises(Failed) as e:
        desk.skerry('release', 'build', dts, '--images', desk.images, '--key', desk.keys / 'builder.key', '--cert', desk.keys / 'builder.pem')
    assert e.value.code == 3 and 'none.itb' in e.value.text


def test_key_files_are_private_and_never_overwritten(desk):
    for path in desk.keys.glob('*.key'):
        assert path.stat().st_mode & 0o777 == 0o600
    before = (desk.keys / 'ca.key').read_bytes()
    with pytest.raises(Failed):
        desk.skerry('key', 'init', '--dir', desk.keys)
    with pytest.raises(Failed):
        desk.key('release', 'builder')
    assert (desk.keys / 'ca.key').read_bytes() == before


def test_a_bundle_carries_everything(desk, tmp_path):
    release, bundle = desk.build('2.4'), tmp_path / 'all.skb'
    desk.skerry('release', 'export', release, '--images', desk.images, '-o', bundle)
    desk.verify(bundle)
    names = subprocess.run(['tar', 'tf', bundle], capture_output=True, text=True, check=True).stdout.split()
    assert names[0] == 'release.skr' and len(names) == 2
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    desk.refused('digest-mismatch', bundle)


@pytest.mark.plain
@pytest.mark.skipif(bool(tokens.missing()), reason=tokens.missing())
def test_a_key_in_a_token_signs(desk, tmp_path):
    """The private key is made in the token and never leaves it."""
    (tmp_path / 'tokens').mkdir()
    conf = tmp_path / 'softhsm2.conf'
    conf.write_text(f'directories.tokendir = {tmp_path}/tokens\n')
    desk.env.update(SOFTHSM2_CONF=str(conf), PKCS11_MODULE_PATH=SOFTHSM)
    pin = tmp_path / 'pin'
    pin.write_text('1234\n')
    pin.chmod(0o600)
    desk.run('softhsm2-util', '--init-token', '--free', '--label', 'release', '--so-pin', '12345678', '--pin', '1234')
    desk.run('pkcs11-tool', '--module', SOFTHSM, '--login', '--pin', '1234', '--token-label', 'release', '--keypairgen',
             '--key-type', 'EC:prime256v1', '--label', 'token', '--id', '01')
    uri = 'pkcs11:token=release;object=token;type=private?pin-value=1234'
    desk.skerry('key', 'request', 'token', '--key', uri, '-o', tmp_path / 'token.csr')
    desk.key('issue', tmp_path / 'token.csr')
    assert not (desk.keys / 'token.key').exists()
    assert 'token' in desk.verify(desk.build('2.5', signer='token', key=uri))


# The program is opened first: it may lie in a folder that only root can enter, as /root is.
AS_NOBODY = """import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.execve(fd, sys.argv[1:], os.environ)
"""


def test_works_without_root(desk):
    """The desk needs no root: what a user cannot do is refused in words, not tried."""
    r = subprocess.run([sys.executable, '-c', AS_NOBODY, SKERRY, 'simulate', 'stop', desk.dir], capture_output=True, text=True)
    assert r.returncode == 4 and 'sudo' in r.stderr


def test_outputs_that_cannot_be_are_told_before_anything_is_written(desk):
    desk.build('7.0')
    args = ['release', 'build', desk.dir / 'm-7.0.dts', '--images', desk.images, '--key', desk.keys / 'builder.key',
            '--cert', desk.keys / 'builder.pem']
    same = desk.dir / 'same.file'
    for more, told in ((['-o', same, '--bundle', same], 'are one file'), (['-o', same, '--bundle', desk.dir], 'it is a folder'),
                       (['-o', same, '--bundle', desk.dir / 'none/b.skb'], 'no such folder')):
        with pytest.raises(Failed) as failed:
            desk.skerry(*args, *more)
        assert told in str(failed.value)
        assert not same.exists()
