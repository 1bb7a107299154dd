# SPDX-License-Identifier: Apache-2.0
"""skerry simulate: what it says, and that a mistake is told before anything is made."""

import json
import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
SKERRY = BUILD / "src/cli/skerry"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="virtual devices need root")


def run(*args, cwd):
    return subprocess.run([SKERRY, *args], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def desk(tmp_path):
    assert run("key", "init", cwd=tmp_path).returncode == 0
    yield tmp_path
    run("simulate", "power-cut", "dev", cwd=tmp_path)


@pytest.mark.parametrize("args, told", [
    ([], "--trust FOLDER"),
    (["--trust", "nowhere"], "nowhere/ca.pem"),
    (["--trust", "keys", "--token-file", "empty"], "empty is empty"),
    (["--trust", "keys", "--token-file", "none"], "cannot read none"),
    (["--trust", "keys", "--hub-ca", "/dev/null"], "not a regular file"),
    (["--trust", "keys", "--set", "x"], '"x": write KEY=VALUE'),
    (["--trust", "keys", "--agent-set", "x"], '"x": write KEY=VALUE'),
    (["--trust", "keys", "--publish", "80"], "write HOSTPORT:DEVICEPORT"),
    (["--trust", "keys", "--publish", "80:70000"], "write HOSTPORT:DEVICEPORT"),
    (["--trust", "keys", "--size", "1K"], "at least 64M"),
    (["--trust", "keys", "--network", "wlan"], "write slirp, host or none"),
])
def test_mistakes_are_told_before_anything_is_made(desk, args, told):
    (desk / "empty").write_text("\n")
    done = run("simulate", "start", "dev", *args, "--detach", cwd=desk)
    assert done.returncode != 0
    assert told in done.stderr
    assert not (desk / "dev").exists()


def test_on_and_off_for_programs(desk):
    start = ["simulate", "start", "dev", "--trust", "keys", "--no-agent", "--network", "none", "--detach", "--json"]
    done = run(*start, cwd=desk)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["name"] == "dev" and told["dir"] == str(desk / "dev")
    assert pathlib.Path(told["socket"]).is_socket() and pathlib.Path(told["console"]).exists()
    again = run(*start, cwd=desk)
    assert again.returncode == 5 and json.loads(again.stdout)["error"] == "in-use"
    assert json.loads(run("simulate", "status", "dev", "--json", cwd=desk).stdout)["on"] is True
    assert run("simulate", "stop", "dev", cwd=desk).returncode == 0
    assert run("simulate", "status", "dev", cwd=desk).returncode == 3
