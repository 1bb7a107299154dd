# SPDX-License-Identifier: Apache-2.0
"""Images in the store are sealed by fs-verity where the file system has it, and kept where it has not."""
import pytest

IMAGES = '/var/lib/skerry/store/images'


def images(device):
    return [f'{IMAGES}/{name}' for name in device.run(f'ls {IMAGES}').split()]


def test_sealed(device):
    device.apply({'steady': '', 'shell': 'volumes { data = "/data"; };'})
    assert len(images(device)) >= 2
    for path in images(device):
        assert device.run(f'fsverity measure {path}').startswith('sha256:')
        for command in (f'echo x >>{path}', f'dd if=/dev/zero of={path} bs=4096 count=1 conv=notrunc',
                        f'truncate -s 4096 {path}'):
            status, text = device.run(command, ok=None)
            assert status != 0 and 'not permitted' in text, command
    assert '0 damaged' in device.run('skerry store verify')


def test_a_changed_block_is_never_read(device):
    """Somebody writes to the disk below the file system: the kernel notices when the block is read."""
    device.apply({'tide': ''})
    before = set(images(device))
    device.apply({'steady': ''})
    [path] = set(images(device)) - before or [images(device)[0]]
    block = device.run(f'filefrag -v {path}').split('\n')[3].split()[3].rstrip('.')
    device.run(f'sync; dd if=/dev/zero of=/dev/vda bs=4096 seek={block} count=1 conv=notrunc,fsync;'
               ' echo 3 >/proc/sys/vm/drop_caches')
    status, text = device.run(f'cat {path} >/dev/null', ok=None)
    assert status != 0 and 'Input/output error' in text
    assert '1 damaged' in device.run('skerry store verify', ok=None)[1]
    assert path not in images(device)
    # Applied again, it is fetched again.
    device.apply({'steady': ''})
    assert '0 damaged' in device.run('skerry store verify')


@pytest.fixture(name='plain')
def _plain(device):
    """/var/lib/skerry on a file system without fs-verity."""
    device.apply({'steady': ''})
    device.run('skerry capsule stop steady; systemctl stop skerryd; truncate -s 64M /var/plain.img;'
               'mke2fs -q -t ext4 -O ^verity /var/plain.img && mount -o loop /var/plain.img /var/lib/skerry')
    device.run('systemctl start skerryd')
    device.wait_daemon()
    yield device
    # Images of stopped capsules stay mounted, and with them what they lie on.
    device.run('set -e; skerry capsule stop steady; systemctl stop skerryd; umount /run/skerry/images/*;'
               'umount /var/lib/skerry; rm /var/plain.img')
    device.run('systemctl start skerryd')
    device.wait_daemon()


def test_without_verity(plain):
    plain.apply({'steady': ''})
    [path] = images(plain)
    assert plain.run(f'fsverity measure {path}', ok=None)[0] != 0
    assert plain.run(f'stat -c %a {path}').strip() == '444'
    assert '1 images checked, 0 damaged' in plain.run('skerry store verify').replace('image ', 'images ')
    assert plain.capsule('steady')['state'] == 'running'
