# SPDX-License-Identifier: Apache-2.0
"""Prints the rows that the benchmarks emitted as a table; with --write, into docs/benchmarks.md."""
import json
import pathlib
import platform
import subprocess
import sys

HEAD = '''# Benchmarks

Printed by `tests/bench/run --write`, which builds a release, runs us and the peer in turn on the same machine
and writes this page. Ratios and orders travel from machine to machine; single figures do not.
How each is measured stands at the top of its program in `tests/bench`.
'''


def main():
    rows = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines() if line.startswith('{')]
    lines = ['| figure | Skerry | peer | ratio | aim | met |', '|---|---|---|---|---|---|']
    for r in rows:
        met = {True: 'yes', False: '**no**', None: ''}[r['met']]
        lines.append(f"| {r['figure']} | {r['ours']} | {r['peer']} | {r['ratio']} | {r['aim']} | {met} |")
    table = '\n'.join(lines)
    print(table)
    if '--write' in sys.argv:
        top = pathlib.Path(__file__).resolve().parents[2]
        commit = subprocess.run(['git', '-C', str(top), 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()
        machine = f'Commit {commit}, Linux {platform.release()}, {platform.machine()}, {len(__import__("os").sched_getaffinity(0))} processors.'
        (top / 'docs/benchmarks.md').write_text(f'{HEAD}\n{machine}\n\n{table}\n')


main()
