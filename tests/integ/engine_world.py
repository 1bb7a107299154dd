# SPDX-License-Identifier: Apache-2.0
"""A world for the capsule engine: a mount namespace with a pure cgroup2 tree, and the driver in it."""
import contextlib
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", TOP / "build"))
DRIVER = BUILD / "tests/integ/helpers/engine_driver"
WAIT_S = 60


def missing():
    """Why these tests cannot run here; None when they can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("crun", "conmon", "mksquashfs", "busybox", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"needs {program}"
    if not DRIVER.exists():
        return f"needs {DRIVER}"
    return None


def make_root(folder, files=(), dirs=("bin", "etc"), programs=()):
    """A small root file system around busybox; returns the path of its squashfs."""
    root = folder / "root"
    for name in dirs:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for applet in ("sh", "echo", "sleep", "cat", "ls", "id", "true", "false", "mount", "hostname",
                   "touch", "dd", "grep", "seq", "wc", "readlink", "nc", "httpd", "mknod", "stat",
                   "chown", "kill", "yes", "printf", "test", "date", "env", "chmod"):
        with contextlib.suppress(FileExistsError):
            os.symlink("busybox", root / "bin" / applet)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
    (root / "etc/hosts").write_text("")
    for name, text in files:
        (root / name).write_text(text)
    for program in programs:
        shutil.copy(program, root / "bin")
    image = folder / "root.sqfs"
    subprocess.run(["mksquashfs", root, image, "-all-root", "-noappend", "-quiet", "-no-progress"],
                   check=True, stdout=subprocess.DEVNULL)
    return image


def size_of(folder):
    """Of all files in it; some are renamed meanwhile."""
    total = 0
    for p in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += p.stat().st_size
    return total


class Ended(Exception):
    pass


class Driver:
    """One run of the engine. kill() is what a crash of the daemon is."""

    def __init__(self, world, wrapper=()):
        self.world = world
        self.process = subprocess.Popen(
            world.inside(*wrapper, str(DRIVER), str(world.folder)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=open(world.folder / "stderr", "a"), text=True,
            bufsize=1)
        self.incoming = queue.Queue()
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()
        self.expect("ready")

    def _read(self):
        for line in self.process.stdout:
            self.incoming.put(line.rstrip("\n"))
        self.incoming.put(None)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, *prefixes, seconds=WAIT_S):
        """The first line with one of the prefixes, of those that nobody has asked for yet."""
        for i, line in enumerate(self.seen):
            if line.startswith(prefixes):
                return self.seen.pop(i)
        until = time.monotonic() + seconds
        while True:
            try:
                line = self.incoming.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {prefixes} within {seconds} s; seen {self.seen}") from None
            if line is None:
                raise Ended(str(self.seen))
            if line.startswith(prefixes):
                return line
            self.seen.append(line)

    def do(self, word, name, *more):
        """An operation up to its end: "ok", or the slug of its failure."""
        self.send(" ".join([word, name, *map(str, more)]))
        return self.expect(f"done {word} {name} ").split(" ")[3]

    def list(self):
        self.send("list")
        return {c["name"]: c for c in json.loads(self.expect("list ")[5:])}

    def until(self, name, condition, seconds=WAIT_S):
        """Poll until the capsule is as @condition wants it."""
        until = time.monotonic() + seconds
        while True:
            capsule = self.list().get(name)
            if condition(capsule):
                return capsule
            assert time.monotonic() < until, f"{name} stays {capsule}"
            time.sleep(0.02)

    def create(self, name, *command, generation=0, image=None, **app):
        app = {"name": name, "pids": 100, "command": list(command), **app}
        spec = {"app": app, "image": image or self.world.image(), "generation": generation}
        self.send("create " + json.dumps(spec))
        line = self.expect("created ", "error create ")
        return line.split(" ")[2]

    def log(self, name, tail=-1):
        """What it has written, both streams, as bytes."""
        self.send(f"logs {name} {tail} 0")
        out = b""
        while not (line := self.expect(f"log {name} ", f"logend {name}")).startswith("logend"):
            out += bytes.fromhex(line.split(" ")[4])
        return out

    def events(self, name):
        self.list()
        return [line.split(" ", 2)[2] for line in self.seen if line.startswith(f"event {name} ")]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def quit(self):
        with contextlib.suppress(BrokenPipeError):
            self.send("quit")
        self.process.wait(timeout=WAIT_S)


class World:
    def __init__(self):
        # Not below a folder of pytest: capsules must be able to pass through.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="skerry-engine-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.root_image = make_root(self.folder)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup &&"
             " echo ready && exec sleep 100000"],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.drivers = []
        self._image = None

    def inside(self, *command):
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *command]

    def run(self, *command):
        return subprocess.run(self.inside(*command), check=False, capture_output=True, text=True)

    def driver(self, wrapper=()):
        """@wrapper: a command that runs it, e.g. with less privilege."""
        d = Driver(self, wrapper)
        self.drivers.append(d)
        return d

    def add_image(self, driver, name, path):
        driver.send(f"image {name} {path}")
        line = driver.expect(f"image {name} ", "error image ")
        assert line.startswith("image "), line
        return line.split(" ")[2]

    def image(self):
        if not self._image:
            self._image = self.add_image(self.drivers[-1], "base", self.root_image)
        return self._image

    def mounts(self):
        text = self.run("cat", "/proc/self/mountinfo").stdout
        # The runtime's own is there for as long as the device is up.
        return [line for line in text.splitlines() if str(self.folder) in line and "/run/programs/" not in line]

    def loops(self):
        """Those of ours that stay: one goes only when everybody has closed it, and others may be looking at it."""
        until = time.monotonic() + 10
        while (found := [p for p in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
                         if self._names_us(p)]) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _names_us(self, path):
        with contextlib.suppress(OSError):
            return str(self.folder) in path.read_text()
        return False

    def processes(self, word):
        """Ids of all processes with @word among their arguments."""
        found = []
        for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if any(word in a for a in p.read_bytes().decode(errors="replace").split("\0")):
                    found.append(int(p.parent.name))
        return found

    def leftovers(self):
        """All that a removed capsule must not leave behind."""
        groups = self.run("sh", "-c", "ls -d /sys/fs/cgroup/skerry/*/ 2>/dev/null").stdout.split()
        ids = {p.name for p in (self.folder / "run/capsules").iterdir()}
        ours = [g for g in groups if pathlib.Path(g).name in ids]
        return {
            "mounts": self.mounts(), "loops": self.loops(), "groups": ours,
            "folders": sorted(ids),
            # Newer ones keep compiled system call filters in .cache.
            "crun": [p.name for p in (self.folder / "run/crun").iterdir() if p.name[0] != "."],
            "conmon": [p for p in self.processes(str(self.folder / "run/capsules"))
                       if p not in [d.process.pid for d in self.drivers]],
            "records": [p.name for p in (self.folder / "capsules").iterdir()] +
                       [p.name for p in (self.folder / "run/records").iterdir()],
        }

    def close(self):
        for d in self.drivers:
            if d.process.poll() is None:
                d.kill()
        for pid in self.processes(str(self.folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            for p in (self.folder / "run/capsules").iterdir():
                self.run("sh", "-c", f"cd /sys/fs/cgroup/skerry/{p.name} && echo 1 >cgroup.kill;"
                         f" sleep 0.05; rmdir /sys/fs/cgroup/skerry/{p.name}")
        self.holder.kill()
        self.holder.wait()
        # Mounts go with the namespace; only then is it safe to remove what lay below them.
        self.loops()
        shutil.rmtree(self.folder, ignore_errors=True)
