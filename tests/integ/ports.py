# SPDX-License-Identifier: Apache-2.0
"""Ports on loopback that nobody else takes between the choice and the use, or while a server is down."""
import os
import random
import socket

SLOTS = 8
FIRST, EACH = 16384, 2048  # below what the kernel hands out by itself (net.ipv4.ip_local_port_range)


def free_port():
    """One of this test process's own: those that run side by side (pytest-xdist) have other ones."""
    worker = os.environ.get('PYTEST_XDIST_WORKER')
    slot = int(worker.removeprefix('gw')) % (SLOTS - 1) if worker else SLOTS - 1
    while True:
        # Not random.random(): tests seed that.
        port = FIRST + slot * EACH + random.SystemRandom().randrange(EACH)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
            except OSError:
                continue
            return port
