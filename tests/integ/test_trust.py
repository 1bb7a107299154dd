# SPDX-License-Identifier: Apache-2.0
"""Keys, tokens, releases and bundles with the real commands: what must work, and what must be refused."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile

import pytest

import tokens
from tokens import SOFTHSM

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", TOP / "build"))
SKERRY = BUILD / "src/cli/skerry"

MANIFEST = """/dts-v1/;
/ {{
	persistent-boot;
	release {{ project = "station"; version = "{version}"; compatible = "acme,station"; {release} }};
	apps {{ web {{ image = "web.itb"; {app} }}; }};
}};
"""


class Desk:
    def __init__(self, path):
        self.path = path
        self.env = dict(os.environ)

    def run(self, *args, **env):
        return subprocess.run([SKERRY, *map(str, args)], cwd=self.path, env=self.env | env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120)

    def ok(self, *args, **env):
        done = self.run(*args, "--json", **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refused(self, slug, *args, **env):
        """Returns the sentence."""
        done = self.run(*args, "--json", **env)
        assert done.returncode != 0, done.stdout
        answer = json.loads(done.stdout)
        assert answer["error"] == slug, answer
        return answer["message"]

    def manifest(self, version="1.0.0", release="", app=""):
        path = self.path / f"m-{version}.dts"
        path.write_text(MANIFEST.format(version=version, release=release, app=app))
        return path

    def build(self, manifest, *more, who="alice", **env):
        return self.ok("release", "build", manifest, "--images", "images", "--key", f"keys/{who}.key",
                       "--cert", f"keys/{who}.pem", *more, **env)


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    (folder / "root/bin").mkdir(parents=True)
    (folder / "root/bin/app").write_text("app")
    subprocess.run([SKERRY, "capsule", "build", folder / "root", "--name", "web", "--command", "/bin/app",
                    "-o", folder / "web.itb"], check=True, capture_output=True)
    return folder / "web.itb"


@pytest.fixture
def desk(tmp_path, image):
    d = Desk(tmp_path)
    (tmp_path / "images").mkdir()
    shutil.copy(image, tmp_path / "images/web.itb")
    d.ok("key", "init")
    d.ok("key", "release", "alice")
    return d


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# Keys

def test_files_of_a_root(desk):
    keys = desk.path / "keys"
    assert mode(keys) == 0o700
    assert mode(keys / "ca.key") == 0o600
    assert mode(keys / "alice.key") == 0o600
    assert not list(keys.glob(".*")) and not list(keys.glob("*.tmp*"))
    before = (keys / "ca.key").read_bytes()
    desk.refused("already-exists", "key", "init")
    assert (keys / "ca.key").read_bytes() == before


def test_keys_stay_private_under_any_umask(tmp_path):
    old = os.umask(0)
    try:
        d = Desk(tmp_path)
        d.ok("key", "init")
        d.ok("key", "release", "alice")
    finally:
        os.umask(old)
    assert mode(tmp_path / "keys/ca.key") == 0o600
    assert mode(tmp_path / "keys/alice.key") == 0o600


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "ca", "index", "a b", "a" * 64])
def test_bad_key_names(desk, name):
    before = sorted(p.name for p in (desk.path / "keys").iterdir())
    desk.refused("bad-name", "key", "release", name)
    assert sorted(p.name for p in (desk.path / "keys").iterdir()) == before


def test_no_name_twice(desk):
    before = (desk.path / "keys/alice.key").read_bytes()
    desk.refused("already-exists", "key", "release", "alice")
    assert (desk.path / "keys/alice.key").read_bytes() == before


def test_encrypted_root(tmp_path):
    d = Desk(tmp_path)
    d.refused("bad-value", "key", "init", "--encrypt")
    shutil.rmtree(tmp_path / "keys", ignore_errors=True)
    d.refused("bad-value", "key", "init", "--encrypt", SKERRY_PASSPHRASE="short")
    shutil.rmtree(tmp_path / "keys", ignore_errors=True)
    d.ok("key", "init", "--encrypt", SKERRY_PASSPHRASE="correct horse")
    assert "ENCRYPTED" in (tmp_path / "keys/ca.key").read_text()
    assert "no passphrase" in d.refused("bad-value", "key", "release", "alice")
    assert "wrong passphrase" in d.refused("bad-value", "key", "release", "alice", SKERRY_PASSPHRASE="wrong horse")
    (tmp_path / "pass").write_text("correct horse\n")
    d.ok("key", "release", "alice", "--passphrase-file", tmp_path / "pass")


def test_certificate_cannot_be_misused(desk):
    """What openssl says of the certificates is what devices check."""
    def text(name):
        return subprocess.run(["openssl", "x509", "-in", desk.path / f"keys/{name}.pem", "-noout", "-text"],
                              check=True, capture_output=True, text=True).stdout

    assert "CA:TRUE" in text("ca") and "Certificate Sign, CRL Sign" in text("ca")
    alice = text("alice")
    assert "CA:FALSE" in alice and "Code Signing" in alice and "Digital Signature" in alice
    assert "Certificate Sign" not in alice


def test_revoking_twice_and_unknown(desk):
    assert desk.ok("key", "revoke", "alice")["crl_number"] == 2
    desk.refused("already-exists", "key", "revoke", "alice")
    desk.refused("not-found", "key", "revoke", "nobody")
    listed = desk.ok("key", "list")
    assert [c["state"] for c in listed["certificates"]] == ["revoked"]
    assert listed["crl_current"]


def test_interrupted_revocation_is_finished(desk):
    """A crash between index and list: the list is behind, and revoking again brings it up."""
    old = (desk.path / "keys/crl.pem").read_bytes()
    desk.ok("key", "revoke", "alice")
    (desk.path / "keys/crl.pem").write_bytes(old)
    assert not desk.ok("key", "list")["crl_current"]
    assert desk.ok("key", "revoke", "alice")["crl_number"] == 3
    assert desk.ok("key", "list")["crl_current"]


@pytest.mark.parametrize("damage", [b"", b"x", b"skerry-keys 1\n", b"skerry-keys 1\ncrl 1\nzz 1 2 0 a\n",
                                    b"skerry-keys 1\ncrl 1\nab 1 2 0 ../a\n", b"skerry-keys 1\ncrl 1\n\0"])
def test_damaged_index(desk, damage):
    (desk.path / "keys/index").write_bytes(damage)
    desk.refused("damaged", "key", "list")
    desk.refused("damaged", "key", "release", "bob")
    assert not (desk.path / "keys/bob.pem").exists()


# Releases

def test_build_show_verify(desk):
    made = desk.build(desk.manifest())
    skr = desk.path / made["file"]
    assert skr.name == "station-1.0.0.skr"
    data = (desk.path / "images/web.itb").read_bytes()
    assert made["images"] == [{"name": "web.itb", "digest": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}]
    shown = desk.ok("release", "show", skr)
    assert shown["release"] == made["release"] and shown["signer"]["name"] == "alice"
    assert not shown["signer"]["checked"]
    checked = desk.ok("release", "verify", skr)
    assert checked["release"] == made["release"] and checked["signer"] == "alice"
    for command in ("show", "verify"):
        done = desk.run("release", command, skr)
        assert done.returncode == 0 and "station 1.0.0" in done.stdout and "alice" in done.stdout


def test_same_input_same_release(desk):
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    first = desk.build(desk.manifest(), **env)
    desk.ok("key", "release", "bob", "--rsa")
    second = desk.build(desk.manifest(), "-o", "again.skr", who="bob", **env)
    assert first["release"] == second["release"]
    assert "1700000000" in json.dumps(desk.ok("release", "show", "again.skr"))
    desk.refused("bad-value", "release", "build", desk.manifest(), "--key", "keys/alice.key", "--cert",
                 "keys/alice.pem", SOURCE_DATE_EPOCH="today")


def test_openssl_agrees(desk):
    """The file is plain CMS: the openssl command verifies it and hands out the device tree."""
    made = desk.build(desk.manifest())
    out = subprocess.run(["openssl", "cms", "-verify", "-inform", "DER", "-in", desk.path / made["file"], "-binary",
                          "-purpose", "any", "-CAfile", desk.path / "keys/ca.pem"], check=True, capture_output=True)
    assert hashlib.sha256(out.stdout).hexdigest() == made["release"]


def test_signed_by_openssl(desk):
    """The other way round: what openssl signed with a right certificate is a release."""
    made = desk.build(desk.manifest())
    dtb = subprocess.run(["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", desk.path / made["file"],
                          "-binary"], check=True, capture_output=True).stdout
    (desk.path / "m.dtb").write_bytes(dtb)
    sign = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", "m.dtb", "-out", "o.skr",
            "-signer", "keys/alice.pem", "-inkey", "keys/alice.key"]
    subprocess.run(sign + ["-md", "sha256"], check=True, cwd=desk.path)
    assert desk.ok("release", "verify", "o.skr")["release"] == made["release"]
    subprocess.run(sign + ["-md", "sha1"], check=True, cwd=desk.path)
    assert "SHA-256" in desk.refused("untrusted", "release", "verify", "o.skr")


def test_wrong_signer(desk):
    made = desk.build(desk.manifest())
    desk.ok("key", "init", "--dir", "other")
    assert "not a root" in desk.refused("untrusted", "release", "verify", made["file"], "--trust", "other")


def test_ca_cannot_sign(desk):
    message = desk.refused("bad-value", "release", "build", desk.manifest(), "--images", "images", "--key",
                           "keys/ca.key", "--cert", "keys/ca.pem")
    assert "never releases" in message
    assert not list(desk.path.glob("*.skr"))


def test_revoked_signer(desk):
    made = desk.build(desk.manifest())
    desk.ok("key", "revoke", "alice")
    desk.refused("revoked", "release", "verify", made["file"])
    desk.refused("revoked", "release", "verify", made["file"], "--no-clock")
    # and it cannot be used for another one either
    message = desk.refused("revoked", "release", "build", desk.manifest("1.1.0"), "--images", "images", "--key",
                           "keys/alice.key", "--cert", "keys/alice.pem")
    assert "devices would refuse" in message
    assert not (desk.path / "station-1.1.0.skr").exists()


def test_certificate_dates(desk):
    made = desk.build(desk.manifest())
    desk.refused("expired", "release", "verify", made["file"], "--at", "2099-01-01")
    assert "not valid before" in desk.refused("untrusted", "release", "verify", made["file"], "--at", "1970-01-02")
    desk.ok("release", "verify", made["file"], "--no-clock")
    desk.refused("bad-value", "release", "verify", made["file"], "--at", "tomorrow")


def test_expiring_release(desk):
    made = desk.build(desk.manifest(release='expires = "2027-06-01";'))
    desk.ok("release", "verify", made["file"], "--at", "2027-05-31")
    desk.refused("expired", "release", "verify", made["file"], "--at", "2027-06-01")
    desk.ok("release", "verify", made["file"], "--no-clock")
    desk.refused("bad-value", "release", "build", desk.manifest("2.0", release='expires = "2001-01-01";'),
                 "--images", "images", "--key", "keys/alice.key", "--cert", "keys/alice.pem")


def test_device_and_version(desk):
    made = desk.build(desk.manifest("1.2.0"))
    desk.ok("release", "verify", made["file"], "--type", "acme,station", "--running", "1.2.0")
    desk.refused("wrong-device", "release", "verify", made["file"], "--type", "acme,boat")
    desk.refused("downgrade", "release", "verify", made["file"], "--running", "1.3.0")
    back = desk.build(desk.manifest("1.0.0", release="allow-downgrade;"))
    desk.ok("release", "verify", back["file"], "--running", "1.3.0")


def test_changed_files(desk):
    made = desk.build(desk.manifest())
    data = (desk.path / made["file"]).read_bytes()
    bad = desk.path / "bad.skr"

    def check(content, *slugs):
        bad.write_bytes(content)
        done = desk.run("release", "verify", "bad.skr", "--json")
        assert json.loads(done.stdout)["error"] in slugs

    at = data.index(b"station\0")
    check(data[:at] + b"Station" + data[at + 7:], "untrusted")
    check(data + b"\0", "bad-release")
    check(b"", "bad-release")
    check(b"0", "bad-release")
    check(b"\x30\x84\xff\xff\xff\xff" + data[6:], "bad-release")
    for n in range(1, len(data), 97):
        check(data[:n], "bad-release")
    check(data + bytes(5 << 20), "bad-release")


def test_images_are_checked(desk):
    args = ["release", "build", desk.manifest(), "--key", "keys/alice.key", "--cert", "keys/alice.pem"]
    itb = desk.path / "images/web.itb"
    good = itb.read_bytes()
    assert "no image file web.itb" in desk.refused("not-found", *args)
    desk.ok(*args, "--image", "web.itb=images/web.itb")
    desk.refused("bad-value", *args, "--image", "wbe.itb=images/web.itb")
    desk.refused("usage", *args, "--image", "web.itb")
    for content in (b"", b"junk", good[:5000], good[:-4096],
                    good[:4200] + bytes([good[4200] ^ 1]) + good[4201:]):
        itb.write_bytes(content)
        desk.refused("bad-image", *args, "--images", "images", "-o", "none.skr")
    assert not (desk.path / "none.skr").exists()
    itb.unlink()
    os.mkfifo(itb)
    desk.refused("bad-image", *args, "--images", "images")


def test_open_key_file_is_refused(desk):
    (desk.path / "keys/alice.key").chmod(0o644)
    message = desk.refused("bad-value", "release", "build", desk.manifest(), "--images", "images", "--key",
                           "keys/alice.key", "--cert", "keys/alice.pem")
    assert "chmod 600" in message


def test_key_of_another(desk):
    desk.ok("key", "release", "bob")
    assert "belong together" in desk.refused("bad-value", "release", "build", desk.manifest(), "--images", "images",
                                             "--key", "keys/bob.key", "--cert", "keys/alice.pem")


# Bundles

def test_bundle(desk):
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    made = desk.build(desk.manifest(), "--bundle", "a.skb", **env)
    with tarfile.open(desk.path / "a.skb") as tar:
        assert tar.getnames() == ["release.skr", "images/" + made["images"][0]["digest"]]
    assert desk.ok("release", "show", "a.skb")["bundle"]
    assert desk.ok("release", "verify", "a.skb")["release"] == made["release"]
    desk.ok("release", "export", made["file"], "--images", "images", "-o", "b.skb")
    assert (desk.path / "a.skb").read_bytes() == (desk.path / "b.skb").read_bytes()
    # image files under their digests, as a hub or a store keeps them
    (desk.path / "by-digest").mkdir()
    shutil.copy(desk.path / "images/web.itb", desk.path / "by-digest" / made["images"][0]["digest"])
    desk.ok("release", "export", made["file"], "--images", "by-digest", "-o", "c.skb")
    assert (desk.path / "a.skb").read_bytes() == (desk.path / "c.skb").read_bytes()


def test_export_of_a_changed_image(desk):
    made = desk.build(desk.manifest())
    itb = desk.path / "images/web.itb"
    itb.write_bytes(itb.read_bytes()[:-1] + b"x")
    desk.refused("digest-mismatch", "release", "export", made["file"], "--images", "images", "-o", "a.skb")
    assert not list(desk.path.glob("a.skb*"))


def test_bad_bundles(desk):
    made = desk.build(desk.manifest())
    skr = (desk.path / made["file"]).read_bytes()
    image = (desk.path / "images/web.itb").read_bytes()
    name = "images/" + made["images"][0]["digest"]

    def check(slug, *members):
        with tarfile.open(desk.path / "bad.skb", "w") as tar:
            for path, data in members:
                info = tarfile.TarInfo(path)
                if isinstance(data, bytes):
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                else:
                    info.type, info.linkname = data
                    tar.addfile(info)
        desk.refused(slug, "release", "verify", "bad.skb")

    check("bad-release", ("release.skr", skr))
    check("bad-release", (name, image), ("release.skr", skr))
    check("bad-release", ("release.skr", skr), (name, image), (name, image))
    check("bad-release", ("release.skr", skr), (name, image), ("images/" + "0" * 64, b"x"))
    check("bad-release", ("release.skr", skr), ("images/../../etc/passwd", image))
    check("bad-release", ("release.skr", skr), (name, (tarfile.SYMTYPE, "/etc/passwd")))
    check("bad-release", ("release.skr", (tarfile.SYMTYPE, "/etc/passwd")))
    check("bad-release", ("release.skr", skr), (name, image[:-1]))
    check("digest-mismatch", ("release.skr", skr), (name, image[:-1] + b"x"))
    whole = (desk.path / "bad.skb").read_bytes()
    for n in (1, 511, 513, len(skr), len(whole) // 2):
        (desk.path / "cut.skb").write_bytes(whole[:n])
        desk.refused("bad-release", "release", "verify", "cut.skb")


# Keys in a token

@pytest.fixture
def token(desk):
    if tokens.missing():
        pytest.skip(tokens.missing())
    (desk.path / "tokens").mkdir()
    (desk.path / "softhsm.conf").write_text(f"directories.tokendir = {desk.path}/tokens\n")
    desk.env["SOFTHSM2_CONF"] = str(desk.path / "softhsm.conf")
    desk.env["LSAN_OPTIONS"] = f"suppressions={TOP}/tests/libp11.supp:print_suppressions=0"
    desk.env["ASAN_OPTIONS"] = desk.env.get("ASAN_OPTIONS", "") + ":fast_unwind_on_malloc=0"
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", "1234", "--so-pin",
                    "5678"], check=True, env=desk.env, capture_output=True)
    return desk


@pytest.mark.plain
@pytest.mark.parametrize("kind", ["EC:prime256v1", "rsa:2048"])
def test_key_in_a_token(token, kind):
    subprocess.run(["pkcs11-tool", "--module", SOFTHSM, "--token-label", "release", "--login", "--pin", "1234",
                    "--keypairgen", "--key-type", kind, "--id", "01", "--label", "signer"],
                   check=True, env=token.env, capture_output=True)
    uri = f"pkcs11:token=release;object=signer;type=private?module-path={SOFTHSM}"
    (token.path / "pin").write_text("1234\n")
    token.ok("key", "request", "carol", "--key", f"{uri}&pin-value=1234")
    token.ok("key", "issue", "carol.csr")
    assert not (token.path / "keys/carol.key").exists()
    made = token.ok("release", "build", token.manifest(), "--images", "images", "--key", uri, "--cert",
                    "keys/carol.pem", "--passphrase-file", "pin")
    assert made["signer"] == "carol"
    assert token.ok("release", "verify", made["file"])["signer"] == "carol"


@pytest.mark.plain
def test_token_troubles(token):
    def uri(more):
        return f"pkcs11:token=release;object=nothing?module-path={SOFTHSM}{more}"

    def said(*more, slug="not-found"):
        return token.refused(slug, "key", "request", "x", "--key", *more)

    subprocess.run(["pkcs11-tool", "--module", SOFTHSM, "--token-label", "release", "--login", "--pin", "1234",
                    "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "signer"],
                   check=True, env=token.env, capture_output=True)
    assert "answers to this URI" in said(uri("&pin-value=1234"))
    assert "PIN" in said(uri(""))
    for wrong in ("9999", "1"):
        assert "refuses the PIN" in said(uri(f"&pin-value={wrong}"))
        assert "refuses the PIN" in said(uri(f"&pin-value={wrong}").replace("nothing", "signer"))
    (token.path / "wrong").write_text("9999\n")
    assert "refuses the PIN" in said(uri(""), "--passphrase-file", "wrong")
    assert "answers to this URI" in said(uri("&pin-value=1234").replace("release", "lost"))
    assert "/nonexistent.so" in said("pkcs11:token=x?module-path=/nonexistent.so")
    token.env.update(OPENSSL_MODULES=str(token.path), OPENSSL_ENGINES=str(token.path))
    assert "pkcs11-provider" in said(uri("&pin-value=1234"), slug="not-supported")
    assert not (token.path / "x.csr").exists()


def test_requests_are_checked(desk):
    csr = desk.path / "x.csr"
    desk.refused("not-found", "key", "issue", "x.csr")
    csr.write_text("junk")
    desk.refused("bad-value", "key", "issue", "x.csr")
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "w.key", "-subj", "/CN=weak",
                    "-out", "x.csr"], check=True, cwd=desk.path, capture_output=True)
    assert "weak" in desk.refused("bad-value", "key", "issue", "x.csr")
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "w.key", "-subj",
                    "/CN=..%2Fevil", "-out", "x.csr"], check=True, cwd=desk.path, capture_output=True)
    desk.refused("bad-name", "key", "issue", "x.csr")
    assert "good" == desk.ok("key", "issue", "x.csr", "--name", "good")["name"]
