# SPDX-License-Identifier: Apache-2.0
"""A capsule as the host sees it, and the devices that it may open."""
import pytest

UID_BASE = 1879048192
APPS = {
    'steady': 'user = "0:0";',
    'shell': 'user = "1000:1000"; devices = "/dev/hwrng:/dev/dice:r", "/dev/ttyS1"; volumes { data = "/data"; };',
}


@pytest.fixture(name='apps', scope='module', autouse=True)
def _apps(device):
    device.apply(APPS)


def test_root_inside_is_nobody_outside(device):
    pid = device.capsule('steady')['pid']
    facts = device.facts(pid)
    uids = {int(u) for u in facts['Uid'].split()}
    assert len(uids) == 1 and min(uids) >= UID_BASE and min(uids) % 65536 == 0
    assert {int(g) for g in facts['Gid'].split()} == uids
    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(facts[kind], 16) == 0, kind
    assert facts['NoNewPrivs'] == '1'
    assert facts['Seccomp'] == '2'


def test_namespaces_of_its_own(device):
    pids = [device.capsule(name)['pid'] for name in APPS]
    for kind in ('user', 'pid', 'mnt', 'ipc', 'uts', 'net', 'cgroup'):
        seen = device.run(f'readlink /proc/1/ns/{kind} ' + ' '.join(f'/proc/{p}/ns/{kind}' for p in pids)).split()
        assert len(set(seen)) == len(seen), kind
    ranges = {device.run(f'cat /proc/{p}/uid_map').split()[1] for p in pids}
    assert len(ranges) == len(pids), 'two capsules share ids'


def test_granted_device(device):
    """Readable by the app's user though the host's node is root's alone; and no more than was granted."""
    assert device.run('stat -c "%u %a" /dev/hwrng').split() == ['0', '600']
    assert device.inside('shell', 'dd if=/dev/dice bs=8 count=1 2>/dev/null | wc -c') == (0, '8\n')
    status, text = device.inside('shell', 'echo x >/dev/dice')
    assert status != 0, text
    assert device.inside('shell', 'stty -F /dev/ttyS1 speed')[0] == 0
    assert device.run('stat -c "%u %a" /dev/hwrng').split() == ['0', '600']


@pytest.mark.parametrize('node', ['c 10 183', 'b 254 0', 'c 1 1'])
def test_no_device_by_mknod(device, node):
    status, text = device.inside('shell', f'mknod /tmp/node {node}')
    assert status != 0 and 'not permitted' in text
    status, text = device.inside('shell', f'mknod /data/node {node}')
    assert status != 0


def test_no_device_by_a_node_from_elsewhere(device):
    """Even root, with a node in hand, opens nothing else from within the capsule's group."""
    group = f'/sys/fs/cgroup/skerry/{device.capsule("shell")["id"]}'
    enter = f'echo $$ >{group}/cgroup.procs &&'
    assert device.run('head -c 8 /dev/vda | wc -c').strip() == '8'
    for node in ('/dev/vda', '/dev/ttyS0', '/dev/kmsg', '/dev/mem'):
        status, text = device.run(f'{enter} exec dd if={node} of=/dev/null bs=8 count=1', ok=None)
        assert status != 0 and 'Operation not permitted' in text, node
    assert device.run(f'{enter} dd if=/dev/hwrng bs=8 count=1 2>/dev/null | wc -c').strip() == '8'
    status, text = device.run(f'{enter} exec dd if=/dev/zero of=/dev/hwrng bs=8 count=1', ok=None)
    assert status != 0 and 'Operation not permitted' in text, 'granted for reading only'


def test_a_device_that_is_not_there(device):
    """The release does not become good, and says why."""
    version = device.send({'steady': 'devices = "/dev/i2c-9";'})
    status, text = device.run('skerry release apply /run/release.skr --images /mnt/images', ok=None)
    assert status != 0 and '/dev/i2c-9' in text, version
    assert set(device.capsules()) == set(APPS)
