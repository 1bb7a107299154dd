# SPDX-License-Identifier: Apache-2.0
"""A virtual machine under QEMU, and a shell in it."""
import base64
import pathlib
import shlex
import signal
import socket
import subprocess
import time

WAIT_S = 900  # nobody waits for its end but a test that hangs; a busy machine gives the guest little time


class Failed(Exception):
    pass


class Machine:
    """@guest: folder with vmlinuz and initrd; @disk: its root; @cargo: an image to read from; @folder: for sockets
    and the console."""

    def __init__(self, guest, disk, cargo, folder):
        self.guest, self.disk, self.cargo = pathlib.Path(guest), disk, cargo
        self.folder = pathlib.Path(folder)
        self.console = self.folder / 'console.log'
        self.process, self.port, self.number = None, None, 0

    def argv(self):
        # No KVM is needed. cmpxchg16b is off: QEMU 7.2 translates it wrong now and then. One processor: with two
        # it runs code that the kernel is patching (a no-operation in get_random_u32() was an exception).
        return ['qemu-system-x86_64', '-machine', 'pc,usb=off', '-accel', 'tcg,thread=multi', '-cpu', 'qemu64,-cx16',
                '-smp', '1', '-m', '768', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                '-kernel', str(self.guest / 'vmlinuz'), '-initrd', str(self.guest / 'initrd'),
                '-append', 'console=ttyS0 quiet panic=-1 systemd.show_status=no',
                '-chardev', f'file,id=console,path={self.console},append=on', '-serial', 'chardev:console',
                '-serial', 'null',
                '-chardev', f'socket,id=agent,path={self.folder}/agent.sock,server=on,wait=off',
                '-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=agent',
                '-device', 'virtio-rng-pci', *self.disk.options(),
                '-blockdev', f'raw,node-name=cargo,read-only=on,file.driver=file,file.filename={self.cargo}',
                '-device', 'virtio-blk-pci,drive=cargo']

    def power_on(self, tries=3):
        (self.folder / 'agent.sock').unlink(missing_ok=True)
        with open(self.folder / 'qemu.log', 'a') as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.connect()
        except (Failed, OSError):
            if not self.panicked() or tries == 1:
                raise
            self.power_off()
            self.disk.settle()
            return self.power_on(tries - 1)
        return self

    def panicked(self):
        """Did the guest's kernel die as it booted, of an instruction that QEMU got wrong? Nothing of ours runs yet."""
        self.process.wait(WAIT_S)
        return 'Fatal exception' in self.console.read_text(errors='replace')[-500:]

    def said(self):
        """What a person would look at: the end of console and QEMU's own log."""
        return '\n'.join(p.read_text(errors='replace')[-3000:] for p in
                         (self.console, self.folder / 'qemu.log') if p.exists())

    def connect(self):
        """Until the shell in the guest answers."""
        end = time.monotonic() + WAIT_S
        self.number += 1
        while True:
            if self.process.poll() is not None or time.monotonic() > end:
                self.power_off()
                raise Failed(f'the machine does not start:\n{self.said()}')
            try:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(self.folder / 'agent.sock'))
                break
            except OSError:
                sock.close()
                time.sleep(0.05)
        sock.settimeout(WAIT_S)
        self.port = sock.makefile('rwb', buffering=0)
        sock.close()
        self.run('true')

    def run(self, script, ok=(0,)):
        """What a shell script wrote in the guest; with @ok None, (status, output)."""
        self.number += 1
        self.port.write(b'%d %s\n' % (self.number, base64.b64encode(script.encode())))
        want = str(self.number).encode()
        while True:
            line = self.port.readline()
            if not line.endswith(b'\n'):
                raise Failed(f'the guest went away:\n{self.said()}')
            words = line.split(b' ')
            if words[0] == want:
                break
        status, output = int(words[1]), base64.b64decode(words[2]).decode(errors='replace')
        if ok is None:
            return status, output
        if status not in ok:
            raise Failed(f'{script}: exit status {status}: {output}')
        return output

    def until(self, what, script, condition=None, seconds=WAIT_S):
        """Asks again and again until the script succeeds and its output is as wanted; the output."""
        end = time.monotonic() + seconds
        while True:
            status, output = self.run(script, ok=None)
            if status == 0 and (condition is None or condition(output)):
                return output
            if time.monotonic() > end:
                raise Failed(f'{what} did not come within {seconds} s; the last answer was {status}: {output}')
            time.sleep(0.2)

    def send(self, script):
        """Starts a script and does not wait for its end."""
        self.run(f'setsid sh -c {shlex.quote(script)} >/dev/null 2>&1 </dev/null &')

    def power_off(self):
        """As if the plug was pulled."""
        if self.port:
            self.port.close()
            self.port = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def power_cut(self, rng):
        self.power_off()
        return self.disk.settle(rng)

    def shut_down(self):
        self.send('systemctl poweroff')
        self.process.wait(timeout=WAIT_S)
        self.power_off()
        return self.disk.settle()
