# SPDX-License-Identifier: Apache-2.0
"""Prints the rows and notes that the benchmarks emitted; with --write, into docs/benchmarks.md."""
import json
import os
import pathlib
import platform
import subprocess
import sys

HEAD = '''# Benchmarks

Printed by `tests/bench/run --write`, which builds a release, runs us and the peer in turn on the same machine
and writes this page. Ratios and orders travel from machine to machine; single figures do not. Two figures with a
stroke between them are the least and the median. How each is measured stands at the top of its program in
`tests/bench`.
'''
MET = {True: 'yes', False: '**no**', None: ''}


def table(rows):
    lines = ['| figure | Skerry | peer | ratio | aim | met |', '|---|---|---|---|---|---|']
    lines += [f"| {r['figure']} | {r['ours']} | {r['peer']} | {r['ratio']} | {r['aim']} | {MET[r['met']]} |"
              for r in rows if 'figure' in r]
    notes = [f"- {r['note']}" for r in rows if 'note' in r]
    return '\n'.join(lines + ([''] + notes if notes else []))


def machine(top):
    commit = subprocess.run(['git', '-C', str(top), 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()
    load = os.getloadavg()[2]
    return (f'Commit {commit}, Linux {platform.release()}, {platform.machine()}, {len(os.sched_getaffinity(0))} processors, '
            f'mean load over the last 15 minutes {load:.1f}.')


def main():
    text = table([json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines() if line.startswith('{')])
    print(text)
    if '--write' in sys.argv:
        top = pathlib.Path(__file__).resolve().parents[2]
        (top / 'docs/benchmarks.md').write_text(f'{HEAD}\n{machine(top)}\n\n{text}\n')


main()
