# SPDX-License-Identifier: Apache-2.0
"""Images, capsules and runtimes that are hostile or broken: bounded, told, and nothing left behind."""
import os
import stat
import subprocess
import time

import pytest

import engine_world
from test_engine import NOTHING, STAY, output_of

pytestmark = pytest.mark.skipif(bool(engine_world.missing()), reason=engine_world.missing() or "")


@pytest.fixture(name="world")
def _world():
    w = engine_world.World()
    yield w
    w.close()


@pytest.fixture(name="driver")
def _driver(world):
    return world.driver()


def image_of(world, driver, name, change):
    """An image whose root was changed by change(root) before it was packed."""
    folder = world.folder / name
    folder.mkdir()
    engine_world.make_root(folder)
    change(folder / "root")
    image = folder / "changed.sqfs"
    subprocess.run(["mksquashfs", folder / "root", image, "-all-root", "-noappend", "-quiet", "-no-progress"],
                   check=True, stdout=subprocess.DEVNULL)
    return world.add_image(driver, name, image)


def outside(world):
    """Mounts of the namespace that are not below the folders of capsules and their images."""
    points = [line.split(" ")[4] for line in world.run("cat", "/proc/self/mountinfo").stdout.splitlines()]
    ours = tuple(f"{world.folder}/run/{name}/" for name in ("capsules", "images"))
    return sorted(p for p in points if not p.startswith(ours))


@pytest.mark.parametrize("target", ["/", "/..", "/../../../..", "/proc", "/dev", "/etc", "loop", "../../outside",
                                    "/bin/busybox", "/no/where"])
def test_links_in_the_place_of_mount_points(world, driver, target):
    """They lead to somewhere in the image, or nowhere; never out of it."""
    def change(root):
        for name in ("proc", "dev", "sys", "tmp", "run", "data", "loop"):
            os.symlink(target if name != "loop" else "loop", root / name)
    image = image_of(world, driver, "links", change)
    before = outside(world)
    grants = {"volumes": [{"name": "data", "target": "/data/x", "read_only": False}],
              "devices": [{"path": "/dev/zero", "target": "/data/zero", "mode": "r"}]}
    for how in ({"writable_root": True}, {}):
        driver.create("x", *STAY, image=image, **how, **grants)
        if driver.do("start", "x") == "ok":
            assert outside(world) == before
            assert driver.do("stop", "x", 0) == "ok"
        else:
            assert driver.list()["x"]["error"]
        assert driver.do("remove", "x") == "ok"
    assert outside(world) == before and world.leftovers() == NOTHING
    assert not (world.folder / "outside").exists()


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket", "huge", "long line", "ids", "link"])
def test_passwd(world, driver, kind):
    """The image's user file is read by the daemon, so nothing in it may hold or mislead that."""
    def change(root):
        path = root / "etc/passwd"
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        elif kind == "socket":
            os.mknod(path, stat.S_IFSOCK | 0o666)
        elif kind == "huge":
            with open(path, "wb") as f:
                f.truncate(1 << 32)
        elif kind == "long line":
            path.write_bytes(b"app:x:" + b"9" * 2000000 + b":0::/:/bin/sh\n")
        elif kind == "ids":
            path.write_text("app:x:-1:0::/:\napp:x:4294967295:0::/:\napp:x:4294967296:0::/:\napp:x:70000:0::/:\n"
                            "app:x:0x0:0::/:\napp:x: 0:0::/:\napp\napp:\n:::::::\n")
        else:
            os.symlink("/../../../../../../etc/passwd", path)
    image = image_of(world, driver, "users", change)
    driver.create("x", *STAY, image=image, user="app")
    assert driver.do("start", "x") in ("bad-image", "bad-value")
    driver.create("number", *STAY, image=image, user="7:8")
    assert driver.do("start", "number") in ("ok", "bad-image")
    for name in ("x", "number"):
        assert driver.do("force-remove", name) == "ok"
    assert world.leftovers() == NOTHING


def until(condition, what="it"):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"{what} does not happen"
        time.sleep(0.02)


FLOODS = {
    "zeros": "cat /dev/zero",
    "one endless line": "while :; do printf 0123456789abcdef0123456789abcdef; done",
    "empty lines": "yes ''",
    "control": "yes \"$(printf '\\033[2J\\007\\010')\"",
    "both": "yes out & yes err >&2",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_endless_output(world, driver, kind):
    driver.create("flood", "/bin/sh", "-c", FLOODS[kind])
    assert driver.do("start", "flood") == "ok"
    log = world.folder / "log"
    until(lambda: engine_world.size_of(log) > 64 << 10)
    # 64 KiB a file, four times that while the daemon looks elsewhere, and one old file
    for _ in range(40):
        assert engine_world.size_of(log) < 2 << 20
        time.sleep(0.05)
    driver.log("flood", 3)
    assert driver.do("stop", "flood", 0) == "ok"
    assert driver.do("remove", "flood") == "ok"
    assert world.leftovers() == NOTHING and not list(log.iterdir())


def test_a_bomb_of_processes(world, driver):
    """It is bounded, it ends when it is told to, and others start beside it."""
    mark = f"bomb-{os.getpid()}"
    driver.create("bomb", "/bin/sh", "-c", f"b() {{ b | b & }}; while :; do b 2>/dev/null; sleep 0.1; done", mark,
                  pids=40)
    assert driver.do("start", "bomb") == "ok"
    for _ in range(20):
        assert len(world.processes(mark)) <= 45
        time.sleep(0.05)
    assert output_of(driver, "/bin/echo", "fine") == "fine\n"
    assert driver.do("stop", "bomb", 100) == "ok"
    assert driver.do("remove", "bomb") == "ok"
    assert world.processes(mark) == [] and world.leftovers() == NOTHING


def test_children_that_nobody_collects(world, driver):
    """The first process does not wait for its children; they end with it."""
    driver.create("z", "/bin/sh", "-c", "(sleep 0.01 &) ; (sleep 0.01 &); exec sleep 1000")
    assert driver.do("start", "z") == "ok"
    time.sleep(0.2)
    assert driver.do("stop", "z", 50) == "ok"
    assert driver.do("remove", "z") == "ok"
    assert world.leftovers() == NOTHING


WRAPPER = """#!/bin/sh
mode=$(cat {folder}/mode)
word=
for a in "$@"; do case "$a" in --root=*) root=${{a#--root=}} ;; create|start|delete|state|exec) word=$a; break ;; esac; done
for id in "$@"; do :; done
# For what is to break as it starts: a runtime whose containers do not wait at a pipe that others know.
case "$mode:$word" in
start-*:create) {crun} "$@" && exec mv $root/$id/exec.fifo $root/$id/own.fifo ;;
start-*:start) mv $root/$id/own.fifo $root/$id/exec.fifo ;;
esac
case "$mode:$word" in
create-dies:create) kill -9 $$ ;;
create-late:create) {crun} "$@"; kill -9 $$ ;;
create-hangs:create) exec sleep 1000 ;;
create-talks:create) head -c 3000 /dev/zero | tr '\\0' '\\377' >&2; exit 1 ;;
monitor-dies:create) kill -9 $PPID; {crun} "$@" ;;
start-dies:start) kill -9 $$ ;;
start-late:start) {crun} "$@"; kill -9 $$ ;;
start-talks:start) head -c 3000 /dev/zero | tr '\\0' '\\377' >&2; exit 1 ;;
delete-fails:delete) exit 1 ;;
esac
exec {crun} "$@"
"""


@pytest.fixture(name="wrapped")
def _wrapped(world, monkeypatch):
    """A runtime that does what the file "mode" says."""
    folder = world.folder / "path"
    folder.mkdir()
    real = subprocess.run(["sh", "-c", "command -v crun"], check=True, capture_output=True, text=True).stdout.strip()
    (folder / "crun").write_text(WRAPPER.format(folder=world.folder, crun=real))
    (folder / "crun").chmod(0o755)
    (world.folder / "mode").write_text("none")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return world.driver()


@pytest.mark.parametrize("mode", ["create-dies", "create-late", "create-talks", "monitor-dies", "start-dies", "start-late",
                                  "start-talks", "delete-fails", "create-hangs"])
def test_a_runtime_that_breaks(world, wrapped, mode):
    """Told, undone, and the next start works."""
    mark = f"mark-{os.getpid()}"
    wrapped.create("x", *STAY, mark)
    (world.folder / "mode").write_text(mode)
    if mode == "create-hangs":
        wrapped.send("start x")
        time.sleep(0.5)
        assert wrapped.do("force-remove", "x") == "ok"
        assert world.processes(mark) == [] and world.leftovers() == NOTHING
        return
    first = wrapped.do("start", "x")
    assert first in (("ok",) if mode == "delete-fails" else ("child-failed",))
    if first == "ok":
        assert wrapped.do("stop", "x", 0) == "ok"
    wrapped.until("x", lambda c: c["state"] in ("created", "exited"))
    # "created" is also what is being cleaned after a start that failed.
    until(lambda: world.processes(mark) == [])
    (world.folder / "mode").write_text("none")
    assert wrapped.do("start", "x") == "ok", wrapped.list()
    until(lambda: len(world.processes(mark)) == 1)
    assert wrapped.do("force-remove", "x") == "ok"
    assert world.processes(mark) == [] and world.leftovers() == NOTHING


@pytest.mark.parametrize("mode", ["create-hangs", "create-late", "start-late", "delete-fails"])
def test_killed_while_the_runtime_breaks(world, wrapped, mode):
    mark = f"mark-{os.getpid()}"
    wrapped.create("x", *STAY, mark)
    (world.folder / "mode").write_text(mode)
    wrapped.send("start x")
    time.sleep(0.3)
    if mode == "delete-fails":
        wrapped.send("stop x 0")
        time.sleep(0.2)
    wrapped.kill()
    (world.folder / "mode").write_text("none")
    again = world.driver()
    again.until("x", lambda c: c["state"] in ("running", "exited", "created"))
    assert again.do("start", "x") == "ok"
    until(lambda: len(world.processes(mark)) == 1)
    assert again.do("force-remove", "x") == "ok"
    assert world.processes(mark) == [] and world.leftovers() == NOTHING
