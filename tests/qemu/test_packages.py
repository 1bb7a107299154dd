# SPDX-License-Identifier: Apache-2.0
"""What our packages make of a plain Debian: users, units, and daemons that start, stop and come back."""
import pytest

STEADY = {'steady': ''}


@pytest.fixture(name='pid')
def _pid(device):
    """Of a capsule that runs."""
    device.apply(STEADY)
    return device.capsule('steady')['pid']


def show(device, unit, *properties):
    text = device.run(f'systemctl show {unit} ' + ' '.join(f'-p {p}' for p in properties))
    return dict(line.split('=', 1) for line in text.splitlines())


def test_installed(device):
    assert 'skerry-agent' in device.run('getent passwd skerry-agent')
    assert 'skerry' in device.run('getent group skerry')
    assert device.run('dpkg --audit') == ''
    assert device.run('systemctl is-enabled skerryd skerry-agent').split() == ['enabled', 'enabled']
    assert device.run('systemctl --failed --plain --no-legend') == ''
    assert device.run('stat -c "%U %a" /var/lib/skerry/store/images').split() == ['root', '700']
    assert device.status()['skerry']


def test_status_and_journal(device):
    text = device.run('systemctl status --no-pager skerryd')
    assert 'active (running)' in text
    assert 'skerryd' in device.run('journalctl -u skerryd --no-pager')
    assert show(device, 'skerryd', 'Type', 'StatusErrno', 'NRestarts') == {
        'Type': 'notify', 'StatusErrno': '0', 'NRestarts': '0'}


def test_no_right_for_others(device):
    status, text = device.run('setpriv --reuid nobody --regid nogroup --clear-groups skerry status', ok=None)
    assert status != 0 and 'only root and the members of group "skerry"' in text
    device.run('setpriv --reuid nobody --regid skerry --clear-groups skerry status')


def test_capsules_survive_a_restart(device, pid):
    before = show(device, 'skerryd', 'MainPID')
    device.run('systemctl restart skerryd')
    device.wait_daemon()
    assert show(device, 'skerryd', 'MainPID') != before
    assert device.capsule('steady')['pid'] == pid
    assert device.capsule('steady')['state'] == 'running'


def test_capsules_survive_a_stop(device, pid):
    device.run('systemctl stop skerryd')
    assert device.run('systemctl is-active skerryd', ok=None)[1].strip() == 'inactive'
    assert device.facts(pid)['Name']
    device.run('systemctl start skerryd')
    device.wait_daemon()
    assert device.capsule('steady')['pid'] == pid
    device.run('skerry capsule restart steady')
    assert device.capsule('steady')['pid'] != pid


def test_a_killed_daemon_comes_back(device, pid):
    before = show(device, 'skerryd', 'MainPID')['MainPID']
    device.run(f'kill -KILL {before}')
    device.until('another skerryd', 'systemctl show skerryd -p MainPID --value',
                 lambda text: text.strip() not in ('0', before))
    device.wait_daemon()
    assert device.capsule('steady')['pid'] == pid
    assert show(device, 'skerryd', 'ActiveState', 'Result') == {'ActiveState': 'active', 'Result': 'success'}


def test_out_of_memory_takes_capsules_first(device, pid):
    """The daemon is protected from the kernel's choice; what it starts must not inherit that."""
    daemon = show(device, 'skerryd', 'MainPID')['MainPID']
    assert int(device.run(f'cat /proc/{daemon}/oom_score_adj')) == -900
    assert int(device.run(f'cat /proc/{pid}/oom_score_adj')) == 0


def test_agent_without_capabilities(device):
    device.write('/etc/skerry/agent.conf', 'hub = https://127.0.0.1:1\nretry-min = 1s\nretry-max = 1s\n')
    device.run('systemctl restart skerry-agent')
    device.until('its first try', 'journalctl -u skerry-agent --no-pager', lambda text: '127.0.0.1' in text)
    unit = show(device, 'skerry-agent', 'MainPID', 'NRestarts', 'ActiveState')
    assert unit['ActiveState'] == 'active' and unit['NRestarts'] == '0'
    facts = device.facts(unit['MainPID'])
    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(facts[kind], 16) == 0, kind
    assert facts['NoNewPrivs'] == '1' and facts['Seccomp'] == '2'
    uid = device.run('id -u skerry-agent').strip()
    assert uid != '0' and facts['Uid'].split() == [uid] * 4
    assert device.run('stat -c "%U %a" /var/lib/skerry-agent/device.key').split() == ['skerry-agent', '600']
