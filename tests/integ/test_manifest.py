# SPDX-License-Identifier: Apache-2.0
"""skerry manifest: the real command on real files, and the examples of the documentation."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKERRY_BUILD", TOP / "build"))
SKERRY = BUILD / "src/cli/skerry"
REFERENCE = TOP / "docs/reference/manifest.md"
COMPOSE = TOP / "docs/howto/compose.md"


def run(*args, cwd, env=None):
    return subprocess.run([SKERRY, "manifest", *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def example(path, language):
    return re.search(rf"```{language}\n(.*?)```", path.read_text(), re.S).group(1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "weather.dts").write_text(example(REFERENCE, "dts"))
    (tmp_path / "compose.yaml").write_text(example(COMPOSE, "yaml"))
    return tmp_path


@pytest.mark.parametrize("name", ["weather.dts", "compose.yaml"])
def test_examples_of_the_documentation(folder, name):
    done = run("check", name, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "weather 1.4.0" in done.stdout


def test_every_property_is_documented():
    text = REFERENCE.read_text()
    words = set()
    for source in ("manifest.c", "manifest_app.c", "manifest_links.c", "run.c"):
        code = (TOP / "src/model" / source).read_text()
        words |= set(re.findall(r'\{\s*"([a-z_0-9-]+)",\s*(?:sk_rd_\w+|read_\w+),', code))
    assert len(words) > 40
    missing = [word for word in sorted(words) if f"`{word}`" not in text]
    assert not missing


def test_mistakes_name_file_line_and_what_to_write(folder):
    source = folder / "weather.dts"
    source.write_text(source.read_text().replace("memory-limit", "memroy-limit").replace('db = "web"', 'db = "wbe"'))
    done = run("check", "weather.dts", cwd=folder)
    lines = source.read_text().splitlines()
    first = next(i for i, line in enumerate(lines, 1) if "memroy" in line)
    second = next(i for i, line in enumerate(lines, 1) if "wbe" in line)
    assert done.returncode == 8
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"weather.dts:{first}: /apps/db: memroy-limit: unknown property",
        '    did you mean "memory-limit"?',
        f'weather.dts:{second}: /supervision: db: there is no app "wbe"',
        '    did you mean "web"?',
        "skerry: weather.dts has 2 mistakes",
    ]


def test_mistakes_as_json(folder):
    (folder / "bad.yaml").write_text("services:\n  web: {image: a, ports: [80]}\n")
    done = run("check", "--json", "bad.yaml", cwd=folder)
    answer = json.loads(done.stdout)
    assert done.returncode == 8
    assert answer["ok"] is False and answer["error"] == "bad-manifest"
    ports = [m for m in answer["mistakes"] if m["where"] == "services.web.ports"]
    assert ports[0]["file"] == "bad.yaml" and ports[0]["line"] == 2
    assert "network_mode" in ports[0]["hint"]


@pytest.mark.parametrize("name", ["weather.dts", "compose.yaml"])
def test_build_and_read_again(folder, name):
    done = run("build", name, "-o", "x.dtb", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "x.dtb").read_bytes()[:4] == b"\xd0\x0d\xfe\xed"
    from_source = json.loads(run("show", "--json", name, cwd=folder).stdout)
    from_tree = json.loads(run("show", "--json", "x.dtb", cwd=folder).stdout)
    assert from_source == from_tree
    assert from_tree["release"]["project"] == "weather"


def test_build_writes_nothing_for_a_bad_manifest(folder):
    (folder / "bad.dts").write_text("/dts-v1/;\n/ { };\n")
    done = run("build", "bad.dts", "-o", "x.dtb", cwd=folder)
    assert done.returncode == 8
    assert not (folder / "x.dtb").exists()


def test_build_does_not_replace_its_source(folder):
    before = (folder / "weather.dts").read_bytes()
    done = run("build", "weather.dts", "-o", "weather.dts", cwd=folder)
    assert done.returncode == 2
    assert (folder / "weather.dts").read_bytes() == before


def test_generated_source_is_the_same_manifest(folder):
    done = run("build", "compose.yaml", "--dts", cwd=folder)
    assert done.returncode == 0
    (folder / "generated.dts").write_text(done.stdout)
    assert run("show", "--json", "generated.dts", cwd=folder).stdout == run("show", "--json", "compose.yaml", cwd=folder).stdout
    assert run("build", "weather.dts", "--dts", cwd=folder).returncode == 2


def test_compose_means_what_it_says(folder):
    shown = json.loads(run("show", "--json", "compose.yaml", cwd=folder).stdout)
    apps = {app["name"]: app for app in shown["apps"]}
    assert [app["name"] for app in shown["apps"]] == ["db", "web"]
    assert shown["persistent_boot"] is True
    assert shown["supervision"] == {"db": ["web"]}
    assert apps["db"]["image"] == "postgres.itb"
    assert apps["db"]["memory_bytes"] == 256 << 20
    assert apps["db"]["run"]["stop_grace_ms"] == 30000
    assert apps["db"]["volumes"] == [{"name": "data", "target": "/var/lib/postgresql/data", "read_only": False}]
    assert apps["web"]["network"] == "host" and apps["db"]["network"] == "none"
    assert apps["web"]["restart"]["policy"] == "no" and apps["web"]["writable_root"] is True
    assert apps["web"]["run"]["health"]["command"][:2] == ["/bin/sh", "-c"]
    assert apps["web"]["run"]["health"]["timeout_ms"] == 30000


def test_show_for_people(folder):
    out = run("show", "weather.dts", cwd=folder).stdout
    for part in ("weather 1.4.0", "acme,station-v2", "nginx.itb", "/dev/i2c-1", "data -> /var/lib/db", "When db fails"):
        assert part in out


def test_graph_svg_is_a_picture(folder):
    assert run("graph", "weather.dts", "-o", "w.svg", cwd=folder).returncode == 0
    root = xml.etree.ElementTree.parse(folder / "w.svg").getroot()
    texts = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"db", "web", "sensor", "nginx.itb", "main"} <= texts
    nodes = [e for e in root.iter("{http://www.w3.org/2000/svg}g") if e.get("class") == "node"]
    assert len(nodes) == 4


def test_graph_svg_needs_graphviz(folder):
    """Without it, the message says what to install, and dot's own language is written all the same."""
    (folder / "bin").mkdir()
    (folder / "bin" / "dtc").symlink_to(shutil.which("dtc"))
    env = dict(os.environ, PATH=str(folder / "bin"))
    done = run("graph", "weather.dts", "-o", "none.svg", cwd=folder, env=env)
    assert done.returncode != 0
    assert "install the Debian package graphviz" in done.stderr
    assert not (folder / "none.svg").exists()
    assert run("graph", "weather.dts", "-o", "w.dot", cwd=folder, env=env).returncode == 0


@pytest.mark.skipif(not shutil.which("dot"), reason="graphviz is not installed")
def test_graph_dot_is_taken_by_graphviz(folder):
    dot = run("graph", "weather.dts", "--format", "dot", cwd=folder).stdout
    done = subprocess.run(["dot", "-Tplain"], input=dot, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert len([line for line in done.stdout.splitlines() if line.startswith("node")]) == 4


def test_a_huge_manifest_is_refused(folder):
    nodes = "".join(f"a{i} {{ }};\n" for i in range(100000))
    (folder / "huge.dts").write_text("/dts-v1/;\n/ { apps {\n" + nodes + "}; };\n")
    done = run("check", "huge.dts", cwd=folder)
    assert done.returncode == 8
    assert done.stderr.startswith("huge.dts:4099: more than 4096 properties and nodes in one node\n")
    (folder / "huge.dts").write_text("/dts-v1/;\n/ {\n" + "a {\n" * 100000 + "};" * 100001)
    assert run("check", "huge.dts", cwd=folder).stderr.startswith("huge.dts:19: nodes are nested more than 16 deep\n")
    (folder / "huge.dts").write_text("/dts-v1/;\n/ {\n" + ("a {\n" + "b {};\n" * 4000 + "};\n") * 5 + "};")
    assert "more than 16384 nodes" in run("check", "huge.dts", cwd=folder).stderr


MANIFEST = """/dts-v1/;
/ {
	release { project = "p"; version = "1"; compatible = "a"; };
	apps { a { image = "a.itb"; %s }; };
};
"""


@pytest.mark.parametrize("line, told", [
    ('environment { X = /incbin/("/etc/passwd"), ""; };', "bad.dts:4: /incbin/ is refused"),
    ("""x = <'"'>; y = /incbin/("/etc/passwd"); z = <'"'>;""", "bad.dts:4: /incbin/ is refused"),
    ("""x = <'\\'>; y = /incbin/("/etc/passwd");""", "bad.dts:4: a quote is left open"),
    ('/* " */ x = /incbin/("/dev/zero"); // "', "bad.dts:4: /incbin/ is refused"),
    ('/include/ "pipe"', 'bad.dts:4: cannot include "pipe": it is not a regular file'),
    ('/include/ "/dev/zero"', 'bad.dts:4: cannot include "/dev/zero": it is not a regular file'),
    ('/include/ "none.dtsi"', 'bad.dts:4: cannot include "none.dtsi": No such file'),
    ('/include/\n\n /* x */ "bad.dts"', 'bad.dts:6: "bad.dts" includes itself'),
    ('/include/ "sub/one.dtsi"', 'sub/two.dtsi:3: /apps/a: memroy-limit: unknown property'),
    ('/include/ "sub/loop.dtsi"', 'sub/loop.dtsi:1: "sub/loop.dtsi" includes itself'),
    ('/include/ name', "bad.dts:4: /include/ needs a file name"),
    ('\n#include "x.dtsi"\n', "bad.dts:5: there is no C preprocessor"),
    ('\n# define X 1\n', "bad.dts:5: there is no C preprocessor"),
    ('x = "\0";', "bad.dts: it holds a zero byte"),
])
def test_what_dtc_must_not_be_given(tmp_path, line, told):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/one.dtsi").write_text('/include/ "two.dtsi"\n')
    (tmp_path / "sub/two.dtsi").write_text('\n\nmemroy-limit = "64M";\n')
    (tmp_path / "sub/loop.dtsi").write_text('/include/ "loop.dtsi"\n')
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bad.dts").write_text(MANIFEST % line)
    done = run("check", "bad.dts", cwd=tmp_path)
    assert done.returncode == 8
    assert done.stderr.startswith(told), done.stderr


def test_a_hash_may_begin_a_property_and_signs_may_stand_in_strings(tmp_path):
    line = '#define = "x"; environment { A = "/incbin/ \\" { } # include /* "; };'
    (tmp_path / "a.dts").write_text(MANIFEST % line)
    assert run("check", "a.dts", cwd=tmp_path).stderr.startswith("a.dts:4: /apps/a: #define: unknown property")
    (tmp_path / "a.dts").write_text(MANIFEST % line.replace('#define = "x";', ""))
    assert run("check", "a.dts", cwd=tmp_path).returncode == 0


def test_lines_are_right_over_labels_and_later_additions(tmp_path):
    (tmp_path / "a.dts").write_text(MANIFEST.replace(" a {", " x: a {") % "" + """
&x {
	memory-limit =
		"64M",
		"2";
	environment {
		A =
			"one";
	};
};
/ { apps {
	b { image = "b.itb";
	    nope; };
	a { stop-grace = "never"; };
}; };
""")
    done = run("check", "a.dts", cwd=tmp_path)
    places = [line.split(" ")[0] for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert places == ["a.dts:8:", "a.dts:18:", "a.dts:19:", "skerry:"]
    assert "memory-limit" in done.stderr.splitlines()[0]
    (tmp_path / "b.dts").write_text((tmp_path / "a.dts").read_text() + "/delete-node/ &x;\n")
    assert "a.dts" not in run("check", "b.dts", cwd=tmp_path).stderr


def test_without_dtc_it_says_what_to_install(folder):
    done = subprocess.run([SKERRY, "manifest", "check", "weather.dts"], cwd=folder, env={"PATH": "/nonexistent"},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "device-tree-compiler" in done.stderr


COMPOSE_VARS = """x-skerry: {version: "${VERSION}", compatible: "a,b", project: p}
services:
  web:
    image: "web:${TAG:-1}"
    mem_limit: ${LIMIT:-64m}
    env_file: [common.env, {path: "./web.env"}, {path: none.env, required: false}]
    environment: {A: from-environment, D: "$${HOME}"}
  db:
    image: db
    env_file: common.env
"""


def test_compose_variables_and_files_of_variables(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/c.yaml").write_text(COMPOSE_VARS)
    (tmp_path / "sub/.env").write_text("VERSION=1.2\nLIMIT='32m'\n")
    (tmp_path / "sub/common.env").write_text("A=common\nB=common\nC='$x y'\n")
    (tmp_path / "sub/web.env").write_text("# of web\nB=web # here\n")
    done = subprocess.run([SKERRY, "manifest", "show", "sub/c.yaml", "--json"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60, env={**os.environ, "VERSION": "9.9", "TAG": "9", "HOME": "/x"})
    shown = json.loads(done.stdout)
    apps = {app["name"]: app for app in shown["apps"]}
    assert shown["release"]["version"] == "1.2"
    assert apps["web"]["memory_bytes"] == 32 << 20
    assert apps["web"]["run"]["environment"] == {"A": "from-environment", "D": "${HOME}", "B": "web", "C": "$x y"}
    assert apps["db"]["run"]["environment"] == {"A": "common", "B": "common", "C": "$x y"}


def test_compose_variables_that_are_missing_are_told(tmp_path):
    (tmp_path / "c.yaml").write_text(COMPOSE_VARS)
    done = run("check", "c.yaml", cwd=tmp_path)
    assert done.stderr.startswith("c.yaml:1: there is no value for variable VERSION\n    variables come from .env"), done.stderr
    (tmp_path / ".env").write_text("VERSION=1\n")
    done = run("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 8
    assert 'c.yaml:6: services.web.env_file: cannot read "./web.env": No such file' in done.stderr
    (tmp_path / "web.env").write_text("x\nnothing to see\n")
    (tmp_path / "common.env").write_text("")
    assert "./web.env:1: write NAME=value" in run("check", "c.yaml", cwd=tmp_path).stderr
    for elsewhere in ("/etc/passwd", "../secrets.env", "a/../../b"):
        (tmp_path / "c.yaml").write_text(COMPOSE_VARS.replace("./web.env", elsewhere))
        assert "leads elsewhere" in run("check", "c.yaml", cwd=tmp_path).stderr
