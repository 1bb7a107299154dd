# SPDX-License-Identifier: Apache-2.0
"""A device in a virtual machine: Debian, our packages, and releases that are applied from files."""
import base64
import json

SETTINGS = 'compatible = skerry,virtual\n'
STEADY = 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done'


class Device:
    def __init__(self, machine, desk):
        self.machine, self.desk, self.version = machine, desk, 0
        self.run, self.until = machine.run, machine.until

    def install(self):
        """Our packages, by dpkg on the running system, as an administrator does it."""
        self.run('mount -r /dev/vdb /mnt')
        self.run('mkdir -p /etc/skerry/trust && cp /mnt/trust/* /etc/skerry/trust/')
        self.write('/etc/skerry/skerryd.conf', SETTINGS)
        self.run('DEBIAN_FRONTEND=noninteractive dpkg -i /mnt/packages/*.deb && sync')
        self.wait_daemon()

    def power_on(self):
        self.machine.power_on()
        self.run('mount -r /dev/vdb /mnt')
        self.wait_daemon()

    def wait_daemon(self):
        self.until('skerryd', 'systemctl is-active skerryd && skerry status')

    def write(self, path, data):
        if isinstance(data, str):
            data = data.encode()
        self.run(f"echo {base64.b64encode(data).decode()} | base64 -d >{path}")

    def json(self, command):
        return json.loads(self.run(f'skerry {command} --json'))

    def status(self):
        return self.json('status')

    def capsules(self):
        return {c['name']: c for c in self.json('capsule list')}

    def capsule(self, name):
        return self.capsules()[name]

    def wait_capsule(self, name, what, condition):
        text = self.until(f'{name}: {what}', 'skerry capsule list --json',
                          lambda text: any(c['name'] == name and condition(c) for c in json.loads(text)))
        return next(c for c in json.loads(text) if c['name'] == name)

    def facts(self, pid):
        """/proc/PID/status as the host sees it."""
        lines = self.run(f'cat /proc/{pid}/status').splitlines()
        return {key: value.strip() for key, value in (line.split(':', 1) for line in lines)}

    def group(self, name, control):
        """What a control file of the capsule's group says."""
        return self.run(f'cat /sys/fs/cgroup/skerry/{self.capsule(name)["id"]}/{control}').strip()

    def poke(self, name):
        """Tells a capsule that waits for /data/go to go on."""
        self.run(f'touch /var/lib/skerry/volumes/{name}/data/go')

    def inside(self, name, script):
        """(status, output) of a script that the capsule "shell" runs for us: see conftest.SCRIPTS."""
        folder = f'/var/lib/skerry/volumes/{name}/data'
        self.run(f'rm -f {folder}/done {folder}/out')
        self.write(f'{folder}/todo.new', script)
        self.run(f'mv {folder}/todo.new {folder}/todo')
        status = self.until(f'{name}: {script}', f'cat {folder}/done')
        return int(status), self.run(f'cat {folder}/out')

    # -- releases

    def send(self, apps, **how):
        """A signed release, newer than all before, as a file in the guest; its version."""
        self.version += 1
        version = f'{self.version}.0'
        how = {'patience': '10m', **how}
        self.write('/run/release.skr', self.desk.release(version, apps, **how).read_bytes())
        return version

    def apply(self, apps, **how):
        """Goes to a release of these apps, and waits until it is good."""
        version = self.send(apps, **how)
        answer = json.loads(self.run('skerry release apply /run/release.skr --images /mnt/images --json'))
        assert (answer['step'], answer['version']) == ('good', version)
        return answer

    def begin(self, apps, **how):
        """Goes to a release and does not wait."""
        version = self.send(apps, **how)
        self.machine.send('skerry release apply /run/release.skr --images /mnt/images --no-wait')
        return version
