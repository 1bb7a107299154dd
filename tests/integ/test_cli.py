# SPDX-License-Identifier: Apache-2.0
"""The frame that all commands of skerry share: output that cannot be written, strangers' words, completion."""

import fcntl
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import termios

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", TOP / "build"))
SKERRY = BUILD / "src/cli/skerry"
ESCAPES = "\x1b[31m\x9b\u202e"


def run(*args, **kwargs):
    return subprocess.run([SKERRY, *args], capture_output=True, text=True, timeout=60, **kwargs)


def shell(line, cwd=None):
    return subprocess.run(["sh", "-c", line.replace("skerry", str(SKERRY), 1)], cwd=cwd, capture_output=True,
                          text=True, timeout=60)


def is_harmless(text):
    return all(c == "\n" or c.isprintable() for c in text)


@pytest.mark.parametrize("command", ["version", "--help", "man", "completion bash", "version --json"])
def test_a_full_disk_on_standard_output(command):
    done = shell(f"skerry {command} >/dev/full")
    assert done.returncode in (1, 6)
    assert done.stderr.startswith("skerry: cannot write to standard output")


def test_a_closed_standard_output():
    done = shell("skerry version >&-")
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr


def test_nothing_for_people_lands_in_a_file_that_takes_the_place_of_standard_output(tmp_path):
    manifest = 'release { project = "p"; version = "1"; compatible = "a"; }; apps { a { image = "a.itb"; }; };'
    (tmp_path / "m.dts").write_text(f"/dts-v1/; / {{ {manifest} }};")
    assert run("manifest", "build", "m.dts", "-o", "good.dtb", cwd=tmp_path).returncode == 0
    shell("skerry manifest build m.dts -o m.dtb 0>&- >&- 2>&-", cwd=tmp_path)
    assert (tmp_path / "m.dtb").read_bytes() == (tmp_path / "good.dtb").read_bytes()


def test_a_reader_that_goes_away_ends_it():
    done = subprocess.run(["bash", "-c", f"{SKERRY} man | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}"],
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_words_of_strangers_reach_a_terminal_harmless(tmp_path):
    (tmp_path / "a.dts").write_text(f'/dts-v1/;\n/include/ "{ESCAPES}"\n')
    quoted = '"\\e[31m\\x9b\\u202e"'
    (tmp_path / "a.yaml").write_text(f"services:\n  {quoted}: {{}}\n  a: {{image: x, depends_on: [{quoted}]}}\n"
                                     f"{quoted}: 1\n")
    for done in (run("manifest", "check", "a.dts", cwd=tmp_path), run("manifest", "check", "a.yaml", cwd=tmp_path),
                 run("manifest", "check", f"{ESCAPES}.dts", cwd=tmp_path), run("release", "show", ESCAPES),
                 run("capsule", "show", ESCAPES), run(ESCAPES), run("version", f"--{ESCAPES}")):
        assert done.returncode not in (0, -11)
        assert "[31m" in done.stderr
        assert is_harmless(done.stderr), done.stderr.encode()


def test_a_name_that_is_not_utf8_gives_json_all_the_same(tmp_path):
    done = run("release", "show", b"\xff\xfe", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"] == "not-found"


def every_command(path=()):
    text = run(*path, "--help").stdout
    if "\nCommands:\n" not in text:
        yield path
        return
    for line in text.split("\nCommands:\n")[1].split("\n\n")[0].splitlines():
        yield from every_command((*path, line.split()[0]))


def complete(words):
    script = f"""
. <({SKERRY} completion bash)
COMP_WORDS=({' '.join(repr(w) for w in words)})
COMP_CWORD={len(words) - 1}
_skerry
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_every_command_has_help_and_completes():
    commands = list(every_command())
    assert len(commands) > 40
    script = run("completion", "bash").stdout
    for path in commands:
        text = run(*path, "--help").stdout
        assert text.startswith("Usage: skerry " + " ".join(path)), path
        arm = script.split(f'"skerry {" ".join(path)}") words="')[1].split('"')[0].split()
        for line in text.split("\nOptions:\n")[1].split("\n\n")[0].splitlines():
            assert line.split("--")[1].split()[0] in [w[2:] for w in arm], (path, line)
    assert complete(["skerry", "manif"]) == ["manifest"]
    assert complete(["skerry", "manifest", "gr"]) == ["graph"]
    assert complete(["skerry", "manifest", "graph", "--fo"]) == ["--format"]


def on_a_terminal(command, columns, cwd, term="xterm"):
    """What a terminal of that width is sent while the command runs."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    running = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=side, env={**os.environ, "TERM": term})
    os.close(side)
    sent = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:
            break
        if not piece:
            break
        sent += piece
    os.close(main)
    assert running.wait(60) == 0
    return sent.decode()


def a_release(folder):
    assert run("key", "init", cwd=folder).returncode == 0
    assert run("key", "release", "b", cwd=folder).returncode == 0
    (folder / "a").mkdir()
    assert run("capsule", "build", "a", "--command", "/x", cwd=folder).returncode == 0
    manifest = 'release { project = "p"; version = "1"; compatible = "a"; }; apps { a { image = "a.itb"; }; };'
    (folder / "m.dts").write_text(f"/dts-v1/; / {{ {manifest} }};")
    return [SKERRY, "release", "build", "m.dts", "--key", "keys/b.key", "--cert", "keys/b.pem", "-o", "r.skr"]


def test_progress_fits_the_terminal(tmp_path):
    command = a_release(tmp_path)
    for columns in (200, 80, 60, 20, 8):
        sent = on_a_terminal(command, columns, tmp_path)
        lines = re.split(r"\r\x1b\[K|\r?\n", sent)
        assert any("100 %" in line for line in lines)
        assert all(len(line) < columns for line in lines), (columns, lines)
    assert "\x1b" not in on_a_terminal(command, 80, tmp_path, term="dumb")
