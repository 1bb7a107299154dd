# SPDX-License-Identifier: Apache-2.0
"""The end of things in order: capsules before the machine, and our packages from a system that lives on."""
import pytest

# Writes into its folder when it was told to end, and that it had the time to.
LAST_WORDS = 'volumes { data = "/data"; };'
FOLDERS = '/var/lib/skerry/volumes'


@pytest.fixture(name='pair')
def _pair(device):
    """Two apps, one of which needs the other."""
    device.apply({'first': LAST_WORDS, 'second': LAST_WORDS}, extra='supervision { first = "second"; };')
    device.run(f'rm -f {FOLDERS}/*/data/ended')
    return device


def ended(device, name):
    """When it did, in 1/100 s since the boot."""
    return int(device.run(f'cat {FOLDERS}/{name}/data/ended').replace('.', ''))


def check_order(device):
    assert ended(device, 'second') < ended(device, 'first')


def both_run(device):
    for name in ('first', 'second'):
        device.wait_capsule(name, 'runs', lambda c: c['state'] == 'running')


def test_shut_down(pair, machine):
    machine.shut_down()
    pair.power_on()
    both_run(pair)
    check_order(pair)
    assert pair.status()['generation']['state'] == 'good'


def test_stopped_by_hand(pair):
    pair.run('systemctl stop skerry-capsules')
    check_order(pair)
    assert pair.status()['halted'] and pair.status()['capsules']['running'] == 0
    assert 'stopped until skerryd is started again' in pair.run('skerry status')
    assert pair.run('systemctl --failed --plain --no-legend') == ''
    pair.run('systemctl restart skerryd skerry-capsules')
    pair.wait_daemon()
    both_run(pair)
    assert not pair.status()['halted']


def test_upgrade_of_the_package(pair):
    """Capsules run on."""
    pids = [pair.capsule(name)['pid'] for name in ('first', 'second')]
    before = pair.run('systemctl show skerryd -p MainPID --value')
    pair.run('DEBIAN_FRONTEND=noninteractive dpkg -i /mnt/packages/skerry-device_*.deb')
    pair.wait_daemon()
    assert pair.run('systemctl show skerryd -p MainPID --value') != before
    assert [pair.capsule(name)['pid'] for name in ('first', 'second')] == pids


def test_remove_and_purge(pair):
    pair.run('dpkg --remove skerry-device')
    check_order(pair)
    assert pair.run('grep -xe conmon -e skerryd -e skerry-agent /proc/[0-9]*/comm', ok=None)[0] == 1
    assert pair.run('grep /run/skerry /proc/mounts', ok=None)[0] == 1
    assert pair.run('ls /var/lib/skerry/store/images') != ''
    assert pair.run('systemctl --failed --plain --no-legend') == ''
    # Back again: it is all there.
    pair.run('DEBIAN_FRONTEND=noninteractive dpkg -i /mnt/packages/skerry-device_*.deb')
    pair.wait_daemon()
    both_run(pair)
    pair.run('dpkg --purge skerry-device')
    assert pair.run('ls /var/lib/skerry') == 'volumes\n'
    assert pair.run('ls -d /var/log/skerry /var/lib/skerry-agent', ok=None)[0] != 0
    assert pair.run('cat /etc/skerry/skerryd.conf') != ''
    assert pair.run('ls -d /sys/fs/cgroup/skerry/*/', ok=None)[0] != 0
    pair.run('DEBIAN_FRONTEND=noninteractive dpkg -i /mnt/packages/skerry-device_*.deb')
    pair.wait_daemon()
    assert pair.capsules() == {}
