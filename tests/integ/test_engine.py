# SPDX-License-Identifier: Apache-2.0
"""The capsule engine with the real crun and conmon, and the daemon killed at any moment."""
import contextlib
import json
import os
import random
import socket
import subprocess
import time

import pytest

import engine_world

pytestmark = pytest.mark.skipif(bool(engine_world.missing()),
                                reason=engine_world.missing() or "")
STAY = ("/bin/sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done")
NOTHING = {"mounts": [], "loops": [], "groups": [], "folders": [], "crun": [], "conmon": [],
           "records": []}


@pytest.fixture(name="world")
def _world():
    w = engine_world.World()
    yield w
    w.close()


@pytest.fixture(name="driver")
def _driver(world):
    return world.driver()


def output_of(driver, *command, **app):
    """Run to the end; what it wrote."""
    driver.create("probe", *command, **app)
    assert driver.do("start", "probe") == "ok", driver.list()
    driver.until("probe", lambda c: c["state"] == "exited")
    text = driver.log("probe").decode()
    assert driver.do("remove", "probe") == "ok"
    return text


def test_life(world, driver):
    driver.create("web", *STAY, user="app")
    assert driver.do("prepare", "web") == "ok"
    assert driver.list()["web"]["state"] == "prepared"
    assert driver.log("web") == b""
    assert driver.do("start", "web") == "ok"
    web = driver.until("web", lambda c: c["state"] == "running" and c["pid"] > 0)
    assert os.path.exists(f"/proc/{web['pid']}")
    driver.until("web", lambda c: driver.log("web") == b"up\n")
    assert driver.do("start", "web") == "ok"
    assert driver.do("stop", "web") == "ok"
    web = driver.list()["web"]
    assert (web["state"], web["exit_code"], web["pid"]) == ("exited", 3, 0)
    assert driver.events("web") == ["create", "start", "die", "stop"]
    assert driver.do("restart", "web") == "ok"
    assert driver.list()["web"]["state"] == "running"
    assert driver.do("remove", "web") == "bad-state"
    assert driver.do("force-remove", "web") == "ok"
    assert driver.list() == {}
    assert world.leftovers() == NOTHING


def test_nobody_can_write_to_the_runtime(world, driver):
    """On a mount that can be written crun makes a file in /tmp for each of its runs, and leaves it there when it is killed."""
    driver.create("x", *STAY)
    assert driver.do("prepare", "x") == "ok"
    monitor = (world.folder / "run/capsules" / driver.list()["x"]["id"] / "conmon.pid").read_text()
    with open(f"/proc/{monitor.strip()}/cmdline", encoding="utf-8") as f:
        words = f.read().split("\0")
    runtime = words[words.index("-r") + 1]
    assert world.run("test", "-x", runtime).returncode == 0 and world.run("test", "-w", runtime).returncode == 1
    assert driver.do("remove", "x") == "ok"


def test_locked_down(driver):
    status = output_of(driver, "/bin/cat", "/proc/self/status", user="app")
    facts = dict(line.split(":", 1) for line in status.splitlines())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(facts[kind], 16) == 0
    assert facts["NoNewPrivs"].strip() == "1"
    assert facts["Seccomp"].strip() == "2"
    assert facts["Uid"].split() == ["1000"] * 4
    assert output_of(driver, "/bin/cat", "/proc/self/uid_map").split()[:2] == ["0", "1000000"]
    net = output_of(driver, "/bin/cat", "/proc/net/dev")
    assert [line.split(":")[0].strip() for line in net.splitlines()[2:]] == ["lo"]
    assert output_of(driver, "/bin/hostname") == "probe\n"
    for command in ("touch /x", "touch /bin/x", "mount -t tmpfs none /tmp",
                    "echo 1 > /proc/sys/kernel/panic", "mknod /tmp/null c 1 3",
                    "echo 0 > /proc/sysrq-trigger", "test -s /proc/timer_list"):
        script = f"({command}) 2>/dev/null && echo done || echo no"
        text = output_of(driver, "/bin/sh", "-c", script)
        assert text == "no\n", command


ATTEMPTS = 78  # of escape.c; on x86-64 a few more


@pytest.mark.parametrize("how", [{"generation": 1}, {"generation": 1, "user": "app"}, {},
                                 {"generation": 1, "network": 1}],
                         ids=["released", "user", "api", "host-network"])
def test_no_way_out(world, driver, how):
    """Whatever a hostile program tries fails, and what programs need works."""
    folder = world.folder / "hostile"
    folder.mkdir()
    escape = engine_world.BUILD / "tests/integ/helpers/escape"
    image = world.add_image(driver, "hostile", engine_world.make_root(folder, programs=[escape]))
    text = output_of(driver, "/bin/escape", image=image, **how)
    found = dict(line.split(" ") for line in text.splitlines())
    assert len(found) >= ATTEMPTS, text
    wrong = {k: v for k, v in found.items() if (v == "open") != k.startswith("ok-")}
    assert wrong == {}


def test_a_capsule_inherits_nothing(driver):
    """No descriptor, no variable, no signal setting of the daemon's or the monitor's."""
    fds = output_of(driver, "/bin/sh", "-c", "ls /proc/1/fd; true")
    assert fds.split() == ["0", "1", "2"]
    names = {line.split("=")[0] for line in output_of(driver, "/bin/env").splitlines()}
    assert names <= {"PATH", "HOME", "HOSTNAME", "SKERRY_APP", "SHLVL", "PWD"}
    status = dict(line.split(":", 1) for line in
                  output_of(driver, "/bin/cat", "/proc/self/status").splitlines())
    for mask in ("SigBlk", "SigIgn", "SigPnd", "ShdPnd"):
        assert int(status[mask], 16) == 0, mask


def test_below_a_service_manager(world, monkeypatch):
    """crun takes the daemon's notify socket for its own, and waits for the capsule to write to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(world.folder / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(world.folder / "notify"))
        monkeypatch.setenv("LISTEN_FDS", "0")
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        driver = world.driver()
        names = {line.split("=")[0] for line in output_of(driver, "/bin/env").splitlines()}
        assert not names & {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"}
        driver.create("web", *STAY, health=health(1, command=["/bin/true"]))
        assert driver.do("start", "web") == "ok"
        driver.until("web", lambda c: c["health"] == 2)
        driver.kill()
        driver = world.driver()
        assert driver.list()["web"]["state"] == "running"
        assert driver.do("force-remove", "web") == "ok"
    assert world.leftovers() == NOTHING


def test_files_in_memory_are_bounded(driver):
    script = ("i=0; while [ $i -lt 20000 ]; do : > /tmp/$i || exit 9; i=$((i+1)); done")
    driver.create("many", "/bin/sh", "-c", script)
    assert driver.do("start", "many") == "ok"
    driver.until("many", lambda c: c["state"] == "exited")
    assert driver.list()["many"]["exit_code"] not in (0, 137)


def test_released_root_has_no_capabilities_and_a_user_s_few(driver):
    cat = ("/bin/grep", "CapEff", "/proc/self/status")
    assert int(output_of(driver, *cat, generation=1).split()[1], 16) == 0
    some = int(output_of(driver, *cat).split()[1], 16)
    assert some and some & (1 << 21) == 0 and some & (1 << 12) == 0


def test_missing_mount_points_and_volumes(world, driver):
    grant = [{"name": "data", "target": "/srv/deep/data", "read_only": False}]
    write = "echo kept > /srv/deep/data/f && stat -c '%u:%g' /srv/deep/data/f"
    assert output_of(driver, "/bin/sh", "-c", write, user="app", volumes=grant) == "1000:1000\n"
    # On disk it has the capsule's own numbers, whatever range it ran in.
    st = os.stat(world.folder / "volumes/probe/data/f")
    assert (st.st_uid, st.st_gid) == (1000, 1000)
    grant[0]["read_only"] = True
    read = "cat /srv/deep/data/f; touch /srv/deep/data/g 2>/dev/null || echo no"
    assert output_of(driver, "/bin/sh", "-c", read, user="app", volumes=grant) == "kept\nno\n"


def test_writable_root_is_kept(driver):
    driver.create("w", "/bin/sh", "-c", "cat /f 2>/dev/null; echo again >> /f",
                  writable_root=True)
    for expected in (b"", b"again\n", b"again\nagain\n" + b"again\n"):
        assert driver.do("start", "w") == "ok"
        driver.until("w", lambda c: c["state"] == "exited")
    assert driver.log("w") == b"again\n" + b"again\nagain\n"
    assert expected


def test_devices(driver):
    grant = [{"path": "/dev/zero", "target": "/dev/granted", "mode": "r"}]
    before = os.stat("/dev/zero")
    script = "dd if=/dev/granted bs=4 count=1 2>/dev/null | wc -c; echo x > /dev/granted || echo no"
    assert output_of(driver, "/bin/sh", "-c", f"({script}) 2>/dev/null", user="app",
                     devices=grant) == "4\nno\n"
    after = os.stat("/dev/zero")
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid,
                                                               after.st_mode)
    grant[0]["path"] = "/dev/no-such-device"
    driver.create("x", "/bin/true", devices=grant)
    assert driver.do("start", "x") == "not-found"


def test_failures_are_told_and_leave_nothing(world, driver):
    driver.create("a", "/bin/no-such-program")
    assert driver.do("start", "a") == "child-failed"
    driver.create("b", "/bin/true", user="nobody-here")
    assert driver.do("start", "b") == "bad-value"
    driver.create("c", "/bin/true", memory_bytes=1 << 26)
    assert driver.do("start", "c") == "not-supported"
    driver.create("d")
    assert driver.do("start", "d") == "bad-value"
    for name in "abcd":
        assert driver.list()[name]["error"]
        assert driver.do("remove", name) == "ok"
    assert world.leftovers() == NOTHING


def test_refused_specs(world, driver):
    assert driver.create("../x", "/bin/true") == "bad-name"
    assert driver.create("vm", "/bin/true", kind=1) == "not-supported"
    assert driver.create("x", "/bin/true", image="00" * 32) == "not-found"
    driver.create("x", "/bin/true", image=world.image())
    assert driver.create("x", "/bin/true") == "already-exists"
    # Two generations of one app, while one replaces the other
    driver.create("y", "/bin/true", generation=1)
    assert len(driver.create("y", "/bin/true", generation=2)) == 64


def test_damaged_images(world, driver):
    bad = world.folder / "bad.sqfs"
    good = world.root_image.read_bytes()
    for name, data in (("empty", b"\0" * 4096), ("random", os.urandom(65536)),
                       ("cut", good[:8192])):
        bad.write_bytes(data)
        image = world.add_image(driver, name, bad)
        driver.create(name, "/bin/true", image=image)
        assert driver.do("start", name) in ("bad-image", "child-failed", "io")
        assert driver.do("remove", name) == "ok"
    assert world.leftovers() == NOTHING


def test_restart_policy(driver):
    driver.create("once", "/bin/sh", "-c", "exit 4")
    driver.do("start", "once")
    once = driver.until("once", lambda c: c["state"] == "exited")
    assert (once["exit_code"], once["restarts"]) == (4, 0)
    driver.create("flaky", "/bin/false", restart=1, restart_max=3, restart_window_ms=60000,
                  backoff_min_ms=1, backoff_max_ms=5)
    driver.do("start", "flaky")
    flaky = driver.until("flaky", lambda c: c["state"] == "failed")
    assert flaky["restarts"] == 3
    assert driver.events("flaky").count("die") == 4
    assert driver.events("flaky").count("failed") == 1
    driver.create("always", "/bin/true", restart=2, backoff_min_ms=1, backoff_max_ms=5)
    driver.do("start", "always")
    driver.until("always", lambda c: c["restarts"] > 3)
    # A user's stop is not undone.
    assert driver.do("stop", "always") == "ok"
    count = driver.list()["always"]["restarts"]
    time.sleep(0.2)
    assert driver.list()["always"]["restarts"] == count
    assert driver.list()["always"]["state"] == "exited"


def test_stop_ends_in_a_kill(driver):
    driver.create("deaf", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    driver.do("start", "deaf")
    assert driver.do("stop", "deaf", 100) == "ok"
    assert driver.list()["deaf"]["exit_code"] == 137


def test_supervision(driver):
    app = {"generation": 1, "restart": 2, "backoff_min_ms": 1, "backoff_max_ms": 5}
    for name in ("ethernet", "tunnel", "hello", "other"):
        driver.create(name, *STAY, **app)
        assert driver.do("start", name) == "ok"
    driver.send('supervise {"order": ["ethernet", "tunnel", "hello", "other"],'
                ' "rules": [["ethernet", "tunnel", "hello"]]}')
    driver.expect("supervised 0")
    before = driver.list()
    os.kill(before["ethernet"]["pid"], 9)
    for name in ("ethernet", "tunnel", "hello"):
        driver.until(name, lambda c, n=name: c["state"] == "running" and
                     c["pid"] not in (0, before[n]["pid"]))
    assert driver.list()["other"]["pid"] == before["other"]["pid"]
    lines = [line for line in driver.seen if line.startswith("event ")]
    order = [line.split()[1:3] for line in lines if line.split()[2] in ("die", "start")][4:]
    assert order == [["ethernet", "die"], ["hello", "die"], ["tunnel", "die"],
                     ["ethernet", "start"], ["tunnel", "start"], ["hello", "start"]]


def halt(driver):
    driver.send("halt")
    return driver.expect("done halt all ").split(" ")[3]


def start_up(driver, name):
    """Starts it and waits for its word: before that its shell has no trap yet, and process 1 hears no signal."""
    assert driver.do("start", name) == "ok"
    driver.until(name, lambda c: driver.log(name) == b"up\n")


def test_halt(world, driver):
    """All go down, dependants before what they need, and come back with the next daemon."""
    quick = ("/bin/sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
    for name in ("ethernet", "tunnel", "hello"):
        driver.create(name, *quick, generation=1)
        start_up(driver, name)
    # A user's: one that runs, one that waits for its restart, one that is ready and one that was stopped.
    driver.create("mine", *quick)
    driver.create("restless", "/bin/false", restart=2, restart_max=1000, backoff_min_ms=3600000, backoff_max_ms=3600000)
    driver.create("ready", *quick)
    driver.create("stopped", *quick)
    assert driver.do("start", "restless") == "ok"
    for name in ("mine", "stopped"):
        start_up(driver, name)
    assert driver.do("stop", "stopped") == "ok"
    assert driver.do("prepare", "ready") == "ok"
    driver.until("restless", lambda c: c["state"] == "backoff")
    driver.send('supervise {"order": ["ethernet", "tunnel", "hello"],'
                ' "rules": [["ethernet", "tunnel"], ["tunnel", "hello"]]}')
    driver.expect("supervised 0")
    driver.list()
    driver.seen.clear()
    assert halt(driver) == "ok"
    died = [line.split()[1] for line in driver.seen if line.endswith(" die")]
    assert [n for n in died if n != "mine"] == ["hello", "tunnel", "ethernet"]
    assert {n: c["state"] for n, c in driver.list().items()} == {
        "ethernet": "exited", "tunnel": "exited", "hello": "exited", "mine": "exited",
        "restless": "backoff", "ready": "created", "stopped": "exited"}
    # All were asked, none had to be killed.
    assert all(c["exit_code"] == 0 for n, c in driver.list().items() if n != "restless")
    assert world.leftovers()["conmon"] == [] and world.leftovers()["groups"] == []
    # Nothing is started any more; and it may be said twice.
    for name in ("mine", "ready", "stopped"):
        for word in ("start", "restart", "prepare"):
            assert driver.do(word, name) == "bad-state"
    assert halt(driver) == "ok"
    driver.quit()
    driver = world.driver()
    for name in ("ethernet", "tunnel", "hello", "mine"):
        driver.until(name, lambda c: c["state"] == "running")
    assert driver.list()["stopped"]["state"] == "exited"


def test_halt_of_one_that_does_not_listen(driver):
    """Nobody is given longer than its own grace, and a daemon that is killed meanwhile has lost nothing."""
    driver.create("deaf", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", stop_grace_ms=100)
    assert driver.do("start", "deaf") == "ok"
    assert halt(driver) == "ok"
    assert driver.list()["deaf"]["exit_code"] == 137


def test_halt_killed_in_the_middle(world, driver):
    driver.create("slow", "/bin/sh", "-c", "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    start_up(driver, "slow")
    first = driver.list()["slow"]
    driver.send("halt")
    driver.until("slow", lambda c: c["state"] == "stopping")
    driver.kill()
    driver = world.driver()
    driver.until("slow", lambda c: c["state"] == "running" and c["pid"] not in (0, first["pid"]))


def health(kind, **more):
    return {"kind": kind, "interval_ms": 50, "timeout_ms": 2000, "retries": 2, **more}


def test_health(driver):
    serve = ("/bin/sh", "-c", "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n' | nc -l -p 8080"
             " >/dev/null; done")
    driver.create("http", *serve, health=health(2, port=8080, path="/"))
    driver.create("tcp", *serve, health=health(3, port=8080))
    driver.create("good", *STAY, health=health(1, command=["/bin/true"]))
    driver.create("bad", *STAY, health=health(1, command=["/bin/sh", "-c", "echo sick; exit 1"]))
    driver.create("slow", *STAY, health=health(1, command=["/bin/sleep", "60"]) |
                  {"timeout_ms": 50})
    driver.create("closed", *STAY, health=health(3, port=8081))
    healthy, unhealthy = 2, 3
    for name in ("http", "tcp", "good", "bad", "slow", "closed"):
        assert driver.do("start", name) == "ok"
    for name in ("http", "tcp", "good"):
        driver.until(name, lambda c: c["health"] == healthy)
    for name in ("bad", "slow", "closed"):
        driver.until(name, lambda c: c["health"] == unhealthy)
    # One check of many may have run into its time-out.
    driver.until("bad", lambda c: c["health_output"] == "sick")
    assert "health_status: unhealthy" in driver.events("bad")
    assert driver.list()["bad"]["state"] == "running"


def test_a_check_that_hangs_leaves_no_process(world, driver):
    """crun's command inside is no child of the capsule: killing crun alone leaves it there."""
    mark = f"4242.{os.getpid()}"
    hang = ["/bin/sh", "-c", f"sleep {mark}; true"]
    driver.create("slow", *STAY, health=health(1, command=hang) | {"timeout_ms": 300,
                                                                    "retries": 3})
    assert driver.do("start", "slow") == "ok"
    driver.until("slow", lambda c: c["health"] == 3)
    # One may be under way, and one just being killed; without the mending all of them stay.
    until = time.monotonic() + 60
    while len(world.processes(mark)) > 4:
        assert time.monotonic() < until, world.processes(mark)
        time.sleep(0.02)
    driver.kill()
    time.sleep(1)
    driver = world.driver()
    assert driver.do("stop", "slow", 0) == "ok"
    assert driver.do("remove", "slow") == "ok"
    assert world.processes(mark) == [] and world.leftovers() == NOTHING


def test_only_its_own_processes_are_killed(driver, world):
    """A creation that fails is cleaned up after; who waits for it names the capsule as well."""
    name = driver.create("bad", "/bin/no-such-program")
    bystander = subprocess.Popen(["sh", "-c", "read line", "sh", name], stdin=subprocess.PIPE)
    assert driver.do("start", "bad") == "child-failed"
    assert bystander.poll() is None
    bystander.communicate(b"\n")
    assert bystander.returncode == 0
    assert driver.do("remove", "bad") == "ok"
    assert world.leftovers() == NOTHING


def test_logs(driver):
    driver.create("talk", "/bin/sh", "-c", "seq 1 5; echo err >&2; printf 'a\\000b'; sleep 0.3;"
                  " echo last")
    driver.do("start", "talk")
    driver.send("logs talk -1 1")
    out = b""
    while not (line := driver.expect("log talk ", "logend talk")).startswith("logend"):
        out += bytes.fromhex(line.split(" ")[4])
    assert out.count(b"\n") == 7 and b"a\0b" in out and out.endswith(b"last\n")
    driver.until("talk", lambda c: c["state"] == "exited")
    driver.create("ten", "/bin/seq", "1", "10")
    driver.do("start", "ten")
    driver.until("ten", lambda c: c["state"] == "exited")
    assert driver.log("ten", 3) == b"8\n9\n10\n"
    assert driver.log("ten", 0) == b""
    assert driver.log("ten", 100) == driver.log("ten")


def test_endless_output_is_bounded(world, driver):
    driver.create("flood", "/bin/yes", "a long line of output that nobody needs to read")
    driver.do("start", "flood")
    time.sleep(7)
    size = engine_world.size_of(world.folder / "log")
    # 64 KiB a file; four times that while the daemon looks elsewhere, and one old file
    assert size < 2 << 20
    assert driver.do("stop", "flood", 0) == "ok"
    # The last one may be the part of a line that was cut off.
    assert len(driver.log("flood", 5).splitlines()) == 5


def test_capsules_outlive_the_daemon(world, driver):
    driver.create("web", *STAY)
    driver.create("ends", "/bin/sh", "-c", "sleep 0.3; exit 5")
    driver.create("ready", *STAY)
    driver.create("down", *STAY)
    for name in ("web", "ends", "down"):
        assert driver.do("start", name) == "ok"
    assert driver.do("prepare", "ready") == "ok"
    assert driver.do("stop", "down") == "ok"
    before = driver.list()
    driver.kill()
    time.sleep(0.6)
    again = world.driver()
    after = again.list()
    assert after["web"]["pid"] == before["web"]["pid"]
    assert after["web"]["state"] == "running"
    assert after["ready"]["state"] == "prepared"
    assert after["down"]["state"] == "exited"
    ends = again.until("ends", lambda c: c["state"] == "exited")
    assert ends["exit_code"] == 5
    assert again.do("start", "ready") == "ok"
    assert again.do("stop", "web") == "ok"
    assert again.list()["web"]["exit_code"] == 3
    for name in ("web", "ends", "ready", "down"):
        assert again.do("force-remove", name) == "ok"
    assert world.leftovers() == NOTHING


def test_after_a_boot(world, driver):
    """The run folder is gone and nothing runs; records on disk are all that is left."""
    driver.create("keeps", *STAY, restart=2)
    driver.create("stops", *STAY)
    driver.create("released", *STAY, restart=2, generation=1)
    for name in ("keeps", "stops", "released"):
        assert driver.do("start", name) == "ok"
    pids = [c["pid"] for c in driver.list().values()]
    time.sleep(0.3)
    driver.kill()
    for pid in world.processes(str(world.folder / "run")) + pids:
        # One's end may have been another's.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    time.sleep(0.3)
    world.run("sh", "-c", f"for m in $(grep -o '{world.folder}/run[^ ]*' /proc/self/mountinfo);"
              " do umount -l $m; done; true")
    world.run("rm", "-rf", str(world.folder / "run"))
    again = world.driver()
    again.until("keeps", lambda c: c["state"] == "running")
    assert again.list()["stops"]["state"] in ("exited", "created")
    # Which release runs after a boot is not for the engine to say.
    assert again.list()["released"]["state"] in ("exited", "created")


def test_monitor_killed(world, driver):
    driver.create("web", *STAY, restart=2, backoff_min_ms=1)
    driver.do("start", "web")
    web = driver.list()["web"]
    conmon = int((world.folder / "run/capsules" / web["id"] / "conmon.pid").read_text())
    os.kill(conmon, 9)
    driver.until("web", lambda c: c["state"] == "running" and c["pid"] not in (0, web["pid"]))
    assert web["pid"] not in world.processes("trap")
    driver.do("force-remove", "web")
    assert world.leftovers() == NOTHING


@pytest.mark.parametrize("seed", range(int(os.environ.get("SKERRY_KILL_ROUNDS", "4"))))
def test_killed_at_any_moment(world, seed):
    """25 kills each: afterwards exactly the wanted set runs, each once, and nothing is left over."""
    rnd = random.Random(seed)
    names = ["a", "b", "c"]
    wanted = {}
    mark = f"mark-{world.folder.name}"
    stay = ["/bin/sh", "-c", "while :; do sleep 1; done", mark]
    driver = world.driver()
    world.image()
    for _ in range(25):
        for _ in range(rnd.randrange(1, 5)):
            name = rnd.choice(names)
            word = rnd.choice(["create", "start", "start", "stop", "force-remove", "prepare"])
            if word == "create":
                spec = {"app": {"name": name, "pids": 50, "command": stay},
                        "image": world.image()}
                driver.send("create " + json.dumps(spec))
            else:
                driver.send(f"{word} {name} 0")
            if rnd.random() < 0.5:
                time.sleep(rnd.random() * 0.03)
        time.sleep(rnd.random() * 0.04)
        driver.kill()
        driver = world.driver()
    for name in names:
        # One that was told to go before the last kill is still there for a moment.
        if name in driver.list() and driver.do("prepare", name) == "bad-state":
            driver.until(name, lambda c: c is None)
        if name not in driver.list():
            driver.create(name, *stay)
        wanted[name] = rnd.choice(["running", "exited", "gone"])
        driver.send(f"start {name}")
        if wanted[name] == "exited":
            driver.send(f"stop {name} 0")
        elif wanted[name] == "gone":
            driver.send(f"force-remove {name}")
        if rnd.random() < 0.5:
            driver.kill()
            driver = world.driver()
            driver.send({"running": f"start {name}", "exited": f"stop {name} 0",
                         "gone": f"force-remove {name}"}[wanted[name]])
    for name in names:
        driver.until(name, lambda c, n=name: (c is None) == (wanted[n] == "gone") and
                     (c is None or (c["state"] == "running") == (wanted[n] == "running")) and
                     (c is None or c["state"] not in ("starting", "stopping", "removing")))
    running = {c["pid"] for c in driver.list().values() if c["state"] == "running"}
    # The last one started may not have come as far as its command, and a shell that forks is there twice for a moment.
    until = time.monotonic() + 60
    while (found := set(world.processes(mark))) != running and time.monotonic() < until:
        time.sleep(0.02)
    assert found == running, world.leftovers()
    assert len({c["slot"] for c in driver.list().values()}) == len(driver.list())
    for name in list(driver.list()):
        assert driver.do("force-remove", name) == "ok"
    assert world.leftovers() == NOTHING
    driver.quit()
