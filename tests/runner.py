#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./test, .ci/run and tools/ in a tree where every tool is a stub: what breaks or does not run must fail the whole."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
PASSED = '<testsuite><testcase classname="c" name="n"/></testsuite>'
STUBS = {
    'bin/sudo': 'while [[ ${1:-} == -* ]]; do shift; done; exec "$@"',
    'run': '',
    'tools/setup': '',
    'tools/build': 'mkdir -p "${1/--sanitized/build-asan}"',
    'tools/package': '',
    'tools/tsan': '',
    'tools/lint': '',
    'tools/fuzz': f"mkdir -p build-fuzz; echo '{PASSED}' >build-fuzz/report.xml",
    # What would run the tests: writes the report that Meson or pytest would write.
    'tools/real-root': f'''
        setup=
        for word in "$@"; do
            case "$word" in
            --junitxml=*) report=${{word#*=}} ;;
            full) setup=-full ;;
            esac
        done
        [ "$1" != meson ] || report=$4/meson-logs/testlog$setup.junit.xml
        mkdir -p "$(dirname "$report")"
        echo '{PASSED}' >"$report"''',
}


def run(command, stubs=(), files=()):
    """Whether @command passes, with some stubs replaced and files left by an earlier run."""
    with tempfile.TemporaryDirectory() as tmp:
        top = pathlib.Path(tmp)
        for name in ('test', '.ci/run', 'tools/summary'):
            (top / name).parent.mkdir(exist_ok=True)
            shutil.copy(TOP / name, top / name)
        for name, text in {**STUBS, **dict(stubs)}.items():
            path = top / name
            path.parent.mkdir(exist_ok=True)
            path.write_text('#!/usr/bin/env bash\n' + text + '\n')
            path.chmod(0o755)
        for name in files:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(PASSED)
        env = {'PATH': f'{top}/bin:{os.environ["PATH"]}', 'HOME': tmp}
        done = subprocess.run(command, cwd=top, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.returncode == 0, done.stdout


LINT = {'tools/lint': (TOP / 'tools/lint').read_text(), 'tools/layers': ''}
REAL_FUZZ = (TOP / 'tools/fuzz').read_text()
CASES = [
    # what, command, passes, stubs, left by an earlier run
    ('all is well', ['./test'], True, {}, []),
    ('all is well, --full', ['./test', '--full'], True, {}, []),
    ('all is well, --qemu', ['./test', '--qemu'], True, {}, []),
    ('all is well, CI', ['.ci/run'], True, {}, []),
    ('no package, an old report', ['./test', '--qemu'], False, {'tools/package': 'exit 1'}, ['build/qemu.xml']),
    ('no package, an old report, beside', ['./test'], False, {'tools/package': 'exit 1'}, ['build/qemu.xml']),
    ('no fuzz targets, an old report', ['./test', '--full'], False, {'tools/fuzz': 'exit 1'}, ['build-fuzz/report.xml']),
    ('a race', ['./test', '--full'], False, {'tools/tsan': 'exit 1'}, []),
    ('nothing compiles', ['./test'], False, {'tools/build': 'exit 1'}, []),
    ('no test runs', ['./test'], False, {'tools/real-root': 'exit 1'}, []),
    ('a stage without any test', ['./test'], False,
     {'tools/real-root': STUBS['tools/real-root'] + '\n[[ "$*" != *"-m plain"* ]] || echo "<testsuite/>" >"$report"'}, []),
    ('lint fails, CI', ['.ci/run'], False, {'tools/lint': 'exit 1'}, []),
    ('what runs beside the suite is killed, CI', ['.ci/run'], False, {'tools/lint': 'kill -9 $PPID'}, []),
    ('a clean tree', ['tools/lint', '--fast'], True, {**LINT, 'bin/clang-format': 'echo clang-format version 14.0'}, []),
    ('no clang-format', ['tools/lint', '--fast'], False, {**LINT, 'bin/clang-format': 'exit 127'}, []),
    ('no fuzz target', ['tools/fuzz', '0'], False, {'tools/fuzz': REAL_FUZZ}, []),
    ('the suite fails, CI', ['.ci/run'], False, {'tools/real-root': 'exit 1'}, []),
]


def main():
    bad = 0
    for what, command, passes, stubs, files in CASES:
        passed, said = run(command, stubs, files)
        if passed != passes:
            print(f'{what}: {" ".join(command)} {"passed" if passed else "failed"}\n{said}')
            bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main())
