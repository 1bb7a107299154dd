# SPDX-License-Identifier: Apache-2.0
"""Hub, agent and engine as their packages run them, on one machine: docs/howto/run-a-hub.md, and a docker load."""
import json

import pytest

PASSWORD = 'correct-horse-battery'
BROKEN = 'network = "host"; health-check { http = "/"; port = <9>; interval = "1s"; };'
# What curl --unix-socket would do, in the Perl of every Debian: the file is the body of a POST.
LOAD = '''
use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Peer => "/run/skerry/skerry.sock") or die;
open(my $f, "<:raw", $ARGV[0]) or die;
printf $s "POST /images/load HTTP/1.1\\r\\nHost: d\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n", -s $f;
while (read($f, my $buf, 65536)) { print $s $buf }
$s->flush;
print while <$s>;
'''


@pytest.fixture(name='hub', scope='module')
def _hub(device):
    """As the guide has it; the owner is logged in."""
    device.write('/root/password', PASSWORD)
    device.run('skerry-hub init --org acme --owner alice --name 127.0.0.1 --password-file /root/password')
    device.write('/etc/skerry/hub.conf', 'listen = 127.0.0.1:8443\n')
    device.run('chown -R skerry-hub: /var/lib/skerry-hub && systemctl enable --now skerry-hub')
    device.run('mkdir -p /etc/skerry && cp /var/lib/skerry-hub/ca.pem /etc/skerry/hub-ca.pem')
    device.until('a login', 'HOME=/root skerry hub login https://127.0.0.1:8443 --org acme --user alice'
                            ' --ca /etc/skerry/hub-ca.pem --password-file /root/password')
    hub(device, 'project create station')
    hub(device, 'deployment create station/field')
    yield device
    device.run('systemctl disable --now skerry-hub; rm /etc/skerry/agent.conf; systemctl stop skerry-agent')


def hub(device, command):
    return json.loads(device.run(f'HOME=/root skerry hub {command} --json'))


@pytest.fixture(name='enrolled', scope='module')
def _enrolled(hub):
    token = globals()['hub'](hub, 'deployment token station/field')['token']
    hub.write('/etc/skerry/token', token)
    hub.run('chgrp skerry-agent /etc/skerry/token; chmod 640 /etc/skerry/token')
    hub.write('/etc/skerry/agent.conf', 'hub = https://127.0.0.1:8443\nca-file = /etc/skerry/hub-ca.pem\nname = guest\n'
              'organisation = acme\ncompatible = skerry,virtual\ntoken-file = /etc/skerry/token\n'
              'retry-min = 1s\nretry-max = 2s\n')
    hub.run('systemctl restart skerry-agent')
    hub.until('acceptance', 'HOME=/root skerry hub device list --json | grep -F accepted')
    return hub


def roll_out(device, apps, **how):
    version = device.send(apps, **how)
    device.run('HOME=/root skerry hub release upload /run/release.skr --images /mnt/images')
    return version, device.run(f'HOME=/root skerry hub deployment attach station/field {version} --wait', ok=None)[0]


def test_the_hub_is_confined(hub):
    pid = hub.run('systemctl show skerry-hub -p MainPID --value').strip()
    facts, uid = hub.facts(pid), hub.run('id -u skerry-hub').strip()
    assert uid != '0' and facts['Uid'].split() == [uid] * 4
    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(facts[kind], 16) == 0, kind
    assert facts['NoNewPrivs'] == '1' and facts['Seccomp'] == '2'
    assert hub.run('stat -c "%U %a" /var/lib/skerry-hub').split() == ['skerry-hub', '700']


def test_a_release_travels(enrolled):
    version, status = roll_out(enrolled, {'steady': ''})
    assert status == 0
    assert enrolled.status()['good']['version'] == version
    enrolled.wait_capsule('steady', 'runs', lambda c: c['state'] == 'running')


def test_a_broken_release_comes_back(enrolled):
    good, status = roll_out(enrolled, {'steady': ''})
    assert status == 0
    bad, status = roll_out(enrolled, {'steady': BROKEN}, patience='20s')
    assert status != 0
    assert enrolled.status()['good']['version'] == good
    [job] = [j for j in hub(enrolled, 'job list') if j['version'] == bad]
    assert job['step'] == 'failed' and 'steady' in job['reason'], job


def test_the_hub_dies_and_comes_back(enrolled):
    before = enrolled.run('systemctl show skerry-hub -p MainPID --value').strip()
    enrolled.run(f'kill -KILL {before}')
    enrolled.until('another hub', 'systemctl show skerry-hub -p MainPID --value',
                   lambda text: text.strip() not in ('0', before))
    enrolled.until('an answer', 'HOME=/root skerry hub device list')
    version, status = roll_out(enrolled, {'steady': '', 'tide': ''})
    assert status == 0 and enrolled.status()['good']['version'] == version
    assert enrolled.run('systemctl --failed --plain --no-legend') == ''


def test_docker_load(device):
    """The archive is unpacked by a confined child under the unit's own limits, and the image is sealed as any other."""
    device.write('/run/load.pl', LOAD)
    before = set(device.run('ls /var/lib/skerry/store/images').split())
    answer = device.run('perl /run/load.pl /mnt/archives/loaded.tar')
    assert '200 OK' in answer and 'Loaded image' in answer, answer
    [image] = set(device.run('ls /var/lib/skerry/store/images').split()) - before
    assert device.run(f'fsverity measure /var/lib/skerry/store/images/{image}').startswith('sha256:')
    assert '0 damaged' in device.run('skerry store verify')
