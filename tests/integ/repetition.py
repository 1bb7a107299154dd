# SPDX-License-Identifier: Apache-2.0
"""How often a test does again what finds something now and then: seldom in ./test, often in ./test --full."""
import os

FULL = os.environ.get('SKERRY_FULL') == '1'


def times(usual, full):
    return full if FULL else usual
