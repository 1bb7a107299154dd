# SPDX-License-Identifier: Apache-2.0
"""What the device's daemons do without, because they would keep it in memory for ever."""
import os
import subprocess

import pytest

import engine_world

BUILD = engine_world.BUILD


def sets_up_gnutls(program):
    """GnuTLS tells when it does."""
    r = subprocess.run([BUILD / 'src' / program, '--version'], env=dict(os.environ, GNUTLS_DEBUG_LEVEL='2'),
                       capture_output=True, text=True, check=True)
    return 'GnuTLS' in r.stderr


@pytest.mark.parametrize('program', ['engine/skerryd', 'agent/skerry-agent'])
def test_gnutls_is_not_set_up(program):
    assert not sets_up_gnutls(program)


def test_gnutls_is_set_up_where_it_is_used():
    assert sets_up_gnutls('hub/skerry-hub')


@pytest.mark.parametrize('program', ['engine/skerryd', 'agent/skerry-agent'])
def test_no_archive_library(program):
    links = subprocess.run(['ldd', BUILD / 'src' / program], capture_output=True, text=True, check=True).stdout
    assert 'libcrypto' in links
    assert not any(name in links for name in ('libarchive', 'libxml2', 'libicu')), links
