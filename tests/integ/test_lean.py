# SPDX-License-Identifier: Apache-2.0
"""What the device's daemons do without, because they would keep it in memory for ever."""
import os
import pathlib
import subprocess

import pytest

import engine_world

BUILD = engine_world.BUILD
UNITS = pathlib.Path(__file__).resolve().parents[2] / 'share/systemd'
pytestmark = pytest.mark.plain


def sets_up_gnutls(program, **env):
    """GnuTLS says so when it does."""
    r = subprocess.run([BUILD / 'src' / program, '--version'], env=dict(os.environ, GNUTLS_DEBUG_LEVEL='2', **env),
                       capture_output=True, text=True, check=True)
    return 'GnuTLS' in r.stderr


def test_the_agent_does_not_set_up_gnutls():
    lines = (UNITS / 'skerry-agent.service').read_text().splitlines()
    env = dict(line.split('=', 2)[1:] for line in lines if line.startswith('Environment='))
    assert sets_up_gnutls('agent/skerry-agent')
    assert not sets_up_gnutls('agent/skerry-agent', **env)


@pytest.mark.parametrize('program', ['engine/skerryd', 'agent/skerry-agent'])
def test_no_archive_library(program):
    links = subprocess.run(['ldd', BUILD / 'src' / program], capture_output=True, text=True, check=True).stdout
    assert 'libcrypto' in links
    assert not any(name in links for name in ('libarchive', 'libxml2', 'libicu')), links
