# SPDX-License-Identifier: Apache-2.0
"""What tests with keys in a PKCS#11 token need: SoftHSM, and a build that can load it."""
import json
import os
import pathlib
import shutil

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'


def _sanitized():
    options = json.loads((BUILD / 'meson-info/intro-buildoptions.json').read_text())
    return any(o['name'] == 'b_sanitize' and o['value'] not in ('none', []) for o in options)


def missing():
    """Why there is no token here; empty when there is one."""
    if not pathlib.Path(SOFTHSM).exists() or not shutil.which('pkcs11-tool'):
        return 'softhsm2 and opensc are not installed'
    # OpenSSL's provider loads the module with RTLD_DEEPBIND, at which AddressSanitizer ends the program.
    if _sanitized() and any(pathlib.Path('/usr/lib').glob('*/ossl-modules/pkcs11.so')):
        return 'the pkcs11 provider does not load a module below AddressSanitizer'
    return ''
