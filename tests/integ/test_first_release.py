# SPDX-License-Identifier: Apache-2.0
"""docs/start/first-release.md, done step by step as it is written; only the ports are others."""

import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from ports import free_port

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", TOP / "build"))
PAGE = TOP / "docs/start/first-release.md"
PASSWORD = "a password of her own"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="virtual devices need root"),
    pytest.mark.skipif(not shutil.which("slirp4netns"), reason="slirp4netns is not installed"),
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed"),
]


def steps():
    """Number of a section -> its blocks of commands (or of a file), in order."""
    parts = re.split(r"^## (\d+)\. .*$", PAGE.read_text(), flags=re.M)
    blocks = {}
    for number, text in zip(parts[1::2], parts[2::2]):
        found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, flags=re.M)
        blocks[int(number)] = [re.sub(r"^    ", "", block, flags=re.M).strip("\n") for block in found]
    return blocks


class Reader:
    """Somebody who reads the page and types what it says."""

    def __init__(self, folder):
        self.folder = folder
        self.hub_port, self.web_port = free_port(), free_port()
        path = f"{BUILD}/src/cli:{BUILD}/src/hub:{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "HOME": str(folder), "SKERRY_NEW_PASSWORD": PASSWORD}
        self.env.pop("XDG_CONFIG_HOME", None)

    def words(self, text):
        text = text.replace("sudo ", "").replace("$(command -v skerry)", "skerry").replace("8443", str(self.hub_port))
        return text.replace("8080:8080", f"{self.web_port}:8080").replace("127.0.0.1:8080", f"127.0.0.1:{self.web_port}")

    def type(self, text):
        done = subprocess.run(["bash", "-e", "-c", self.words(text)], cwd=self.folder, env=self.env, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def until(self, text, word):
        end = time.monotonic() + 300
        while word not in (shown := subprocess.run(["bash", "-c", self.words(text)], cwd=self.folder, env=self.env,
                                                   capture_output=True, text=True, timeout=300).stdout):
            assert time.monotonic() < end, f"{text}: no {word}\n{shown}"
            time.sleep(0.2)


@pytest.fixture
def reader(tmp_path):
    me, hub = Reader(tmp_path), []
    me.hub = lambda command: hub.append(subprocess.Popen(
        me.words(command).split(), cwd=tmp_path, env=me.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    yield me
    subprocess.run(["skerry", "simulate", "power-cut", "device"], cwd=tmp_path, env=me.env, capture_output=True)
    for process in hub:
        process.terminate()
        process.wait(60)


def roll_out(reader, build, version):
    reader.type(build.replace("1.0.0", version))
    upload, attach, *_ = (line for line in steps()[7][0].splitlines())
    reader.type(upload.replace("1.0.0", version))
    return attach.replace("1.0.0", version)


def test_the_page_as_it_is_written(reader):
    step = steps()
    assert sorted(step) == list(range(1, 10))
    for block in (step[1][0], step[2][0]):
        reader.type(block)
    (reader.folder / "station.dts").write_text(step[3][0] + "\n")
    reader.type(step[3][1])
    reader.type(step[4][0])

    init, serve, login = step[5]
    reader.env["SKERRY_PASSWORD"] = re.search(r"first login: (\S+)", reader.type(init))[1]
    reader.hub(serve)
    login, *rest = login.splitlines()
    reader.until(f"{login} && echo in", "in\n")
    shown = reader.type("\n".join(rest))
    (reader.folder / "token").write_text(re.search(r"^ske_\S+$", shown, re.M)[0] + "\n")

    reader.type(step[6][0])
    reader.until("skerry hub device list", "accepted")
    assert "<h1>Hello from a capsule</h1>" in reader.type(step[7][0])

    manifest = (reader.folder / "station.dts").read_text()
    (reader.folder / "station.dts").write_text(manifest.replace("<8080>", "<8081>").replace("1.0.0", "1.1.0"))
    build = "\n".join(step[4][0].splitlines()[:2])
    attach = roll_out(reader, build, "1.1.0")
    reader.until(f"{attach}; echo ended $?", "ended 1")
    jobs, curl = step[8][0].splitlines()
    assert "8081" in reader.type(jobs)
    reader.until(curl, "<h1>Hello from a capsule</h1>")  # told bad first, then the good one is started again
    reader.type(step[8][1])
    reader.until(step[7][0].splitlines()[-1], "<h1>Hello from a capsule</h1>")

    for line in step[9][0].splitlines():
        if "docker" not in line or shutil.which("docker"):
            reader.type(line)
    reader.type("sudo $(command -v skerry) simulate stop device")
