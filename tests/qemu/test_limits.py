# SPDX-License-Identifier: Apache-2.0
"""The limits of a signed release, held by a kernel that has all controllers."""
import pytest

DATA = 'volumes { data = "/data"; };'
EATER = 'memory-limit = "32M"; restart = "on-failure"; backoff-min = "100ms"; backoff-max = "100ms";'
APPS = {
    'steady': 'memory-limit = "64M"; cpu-limit = "0.25"; pids-limit = <40>;',
    'eater': EATER + DATA,
    'bomb': 'pids-limit = <20>; stop-grace = "1s";' + DATA,
}


@pytest.fixture(name='limited', scope='module', autouse=True)
def _limited(device):
    device.apply(APPS)


def test_groups_say_what_the_manifest_says(device):
    group = device.group
    assert group('steady', 'memory.max') == str(64 << 20)
    assert group('steady', 'memory.swap.max') == '0', 'no way round the limit'
    assert group('steady', 'cpu.max') == '25000 100000'
    assert group('steady', 'pids.max') == '40'
    assert group('eater', 'memory.max') == str(32 << 20)
    assert group('eater', 'cpu.max') == 'max 100000'
    assert group('eater', 'pids.max') == '512', 'the default'
    assert group('bomb', 'memory.max') == 'max'


def test_its_processes_are_in_its_group(device):
    for name in APPS:
        capsule = device.capsule(name)
        assert device.run(f'cat /proc/{capsule["pid"]}/cgroup').strip().endswith(f'/skerry/{capsule["id"]}')


def test_memory(device):
    """What takes more than its limit is killed, that is told, and the restart policy holds."""
    before = {name: device.capsule(name)['pid'] for name in APPS}
    device.poke('eater')
    eater = device.wait_capsule('eater', 'runs again', lambda c: c['state'] == 'running' and c['restarts'] == 1)
    assert eater['pid'] != before['eater']
    journal = device.run('journalctl -u skerryd --no-pager')
    assert 'eater: ended with exit code 137 for want of memory' in journal
    assert 'eats' in device.run('skerry capsule logs eater')
    for other in ('steady', 'bomb'):
        assert device.capsule(other)['pid'] == before[other]


def test_memory_that_does_not_end(device):
    """A capsule that is killed again and again is given up on, with the reason."""
    device.apply(dict(APPS, eater=EATER + 'restart-max = <2>;' + DATA))
    for _ in range(3):
        pid = device.wait_capsule('eater', 'runs', lambda c: c['state'] == 'running')['pid']
        device.poke('eater')
        eater = device.wait_capsule('eater', 'was killed', lambda c: c['pid'] != pid and c['state'] in ('running', 'failed'))
    assert (eater['state'], eater['exit_code'], eater['oom_killed']) == ('failed', 137, True)
    device.run('skerry capsule start eater')
    device.wait_capsule('eater', 'is forgiven', lambda c: c['state'] == 'running' and not c['oom_killed'])


def test_processes(device):
    """A fork bomb fills its own group, and nobody else notices."""
    steady = device.capsule('steady')['pid']
    device.poke('bomb')
    device.until('the bomb at its limit', f'cat /sys/fs/cgroup/skerry/{device.capsule("bomb")["id"]}/pids.events',
                 lambda text: int(text.split()[1]) > 0)
    assert int(device.group('bomb', 'pids.current')) <= 20
    assert device.capsule('steady')['pid'] == steady
    device.run('skerry capsule stop bomb')
    assert device.capsule('bomb')['state'] == 'exited'
