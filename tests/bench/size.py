#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installed size of the device daemons, stripped, without the libraries they take from Debian."""
from lib import BUILD, emit, sh, workdir

AIM_BYTES = 1_000_000

with workdir() as work:
    sizes = {}
    for name in ('engine/skerryd', 'unpack/skerry-unpack', 'agent/skerry-agent'):
        out = work / name.split('/')[1]
        sh('strip', '-o', out, BUILD / 'src' / name)
        sizes[out.name] = out.stat().st_size
    total = sum(sizes.values())
    detail = ', '.join(f'{k} {v // 1000} kB' for k, v in sizes.items())
    emit('installed size of the device daemons', f'{total // 1000} kB ({detail})', '', '', 'under 1,000 kB', total < AIM_BYTES)
