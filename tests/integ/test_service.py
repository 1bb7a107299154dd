# SPDX-License-Identifier: Apache-2.0
"""The units for systemd: no mistakes in them, and what they take from skerryd it can do without."""
import pathlib
import re
import shutil
import subprocess

import pytest

import engine_world

UNITS = engine_world.TOP / "share/systemd"
ALL = sorted(UNITS.glob("*.service"))
DAEMONS = [u for u in ALL if "ExecStart=" in u.read_text()]
PROGRAMS = ("engine/skerryd", "agent/skerry-agent", "hub/skerry-hub")
# Each of these gives a service a mount namespace of its own: see skerryd.service.
OWN_MOUNTS = {
    "PrivateDevices", "PrivateMounts", "PrivateTmp", "ProtectControlGroups", "ProtectHome", "ProtectHostname",
    "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "BindPaths",
    "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem",
    "RootDirectory", "RootImage", "DynamicUser", "PrivateUsers", "PrivateIPC", "PrivateNetwork", "MountFlags",
}
# And these would hold for what runs in capsules too.
OWN_CALLS = {"SystemCallFilter", "SystemCallArchitectures", "MemoryDenyWriteExecute", "RestrictNamespaces",
             "RestrictAddressFamilies", "RestrictSUIDSGID", "LockPersonality", "LimitCORE"}


def settings(unit):
    return re.findall(r"^(\w+)=(.*)$", (UNITS / unit).read_text(), re.M)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", ALL, ids=lambda p: p.stem)
def test_no_mistakes(unit, tmp_path):
    copy = tmp_path / unit.name
    # The program need not be installed to look at the rest.
    copy.write_text(re.sub(r"^(Exec\w+)=.*", r"\1=/bin/true", unit.read_text(), flags=re.M))
    r = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], check=False, capture_output=True, text=True)
    found = [line for line in r.stderr.splitlines() if unit.name in line]
    assert found == []


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda p: p.stem)
def test_nobody_has_to_start_them_by_hand(unit):
    have = dict(settings(unit.name))
    assert have["Restart"] == "always" and have["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_mistake_in_the_settings_is_named(program, tmp_path):
    conf = tmp_path / "conf"
    for text in ("listen", "nonsense = 1", "x" * 5000, "socket = \0"):
        conf.write_text(f"# a comment\n{text}\n")
        r = subprocess.run([engine_world.BUILD / "src" / program, "--config", conf], check=False, capture_output=True,
                           text=True, timeout=60)
        where = f"{conf} " if "\0" in text else f"{conf}:2: "
        assert 0 < r.returncode < 90 and where in r.stderr, (r.returncode, r.stderr[-500:])


def test_the_machine_goes_down_in_order():
    have = dict(settings("skerry-capsules.service"))
    assert have["ExecStop"].endswith("skerryd --halt") and "skerryd.service" in have["After"]
    # Otherwise a restart of the daemon would stop the capsules.
    assert not {"Requires", "BindsTo", "PartOf"} & set(have)


def test_halt_without_a_daemon(tmp_path):
    (tmp_path / "conf").write_text(f"socket = {tmp_path}/s\n")
    r = subprocess.run([engine_world.BUILD / "src/engine/skerryd", "--config", tmp_path / "conf", "--halt"], check=False,
                       capture_output=True, text=True, timeout=60)
    assert 0 < r.returncode < 90 and f"no skerryd answers on {tmp_path}/s" in r.stderr


def test_capsules_outlive_the_service():
    have = settings("skerryd.service")
    names = {name for name, _ in have}
    assert ("KillMode", "process") in have and ("RuntimeDirectoryPreserve", "yes") in have
    assert ("Type", "notify") in have and "WatchdogSec" in names
    assert not names & (OWN_MOUNTS | OWN_CALLS)


@pytest.mark.skipif(bool(engine_world.missing()), reason=engine_world.missing() or "")
def test_capsules_run_with_what_the_unit_leaves():
    words = " ".join(value for name, value in settings("skerryd.service") if name == "CapabilityBoundingSet")
    dropped = [w.strip("~").lower().removeprefix("cap_") for w in words.split()]
    assert "sys_module" in dropped
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last >= 37  # setpriv refuses names that the kernel does not know
    world = engine_world.World()
    try:
        driver = world.driver(["setpriv", "--no-new-privs", "--bounding-set", ",".join("-" + d for d in dropped)])
        grants = {"devices": [{"path": "/dev/zero", "target": "/dev/granted", "mode": "rw"}],
                  "volumes": [{"name": "data", "target": "/data", "read_only": False}], "writable_root": True}
        for how in ({"generation": 1, "user": "app"}, {}, {"network": 1}):
            driver.create("x", "/bin/sh", "-c", "echo x > /data/f && test -c /dev/granted && sleep 1000",
                          health={"kind": 1, "command": ["/bin/true"], "interval_ms": 50, "timeout_ms": 60000,
                                  "retries": 1}, **grants, **how)
            assert driver.do("start", "x") == "ok", driver.list()
            driver.until("x", lambda c: c["health"] == 2)
            assert driver.do("stop", "x", 0) == "ok"
            assert driver.do("remove", "x") == "ok"
            shutil.rmtree(world.folder / "volumes/x")
    finally:
        world.close()
