# SPDX-License-Identifier: Apache-2.0
"""An image archive (`docker save` form) of a root folder, for `docker load` and `podman load`."""
import hashlib
import json
import tarfile


def docker_archive(work, rootfs, tag='firstlight:1'):
    layer = work / 'layer.tar'
    with tarfile.open(layer, 'w') as t:
        t.add(rootfs, '.')
    diff = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['/firstlight']},
                         'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{diff}']}}).encode()
    name = hashlib.sha256(config).hexdigest() + '.json'
    (work / name).write_bytes(config)
    (work / 'manifest.json').write_text(json.dumps([{'Config': name, 'RepoTags': [tag], 'Layers': ['layer.tar']}]))
    out = work / f'{tag.replace(":", "-")}.tar'
    with tarfile.open(out, 'w') as t:
        for f in (name, 'layer.tar', 'manifest.json'):
            t.add(work / f, f)
    return out
