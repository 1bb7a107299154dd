# SPDX-License-Identifier: Apache-2.0
"""The longest first, so that the last of those that run side by side ends soon after the others."""

LONGEST = ['test_kills', 'test_update', 'test_agent', 'test_docker_wire', 'test_damage', 'test_engine_hostile', 'test_hub_crash',
           'test_capsule_build', 'test_engine', 'test_trust', 'test_first_release', 'test_hub_hostile', 'test_together']


def pytest_configure(config):
    config.addinivalue_line('markers', 'plain: measures what a sanitizer would change; ./test runs it without as well')


def pytest_collection_modifyitems(items):
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
