#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Polls per second of the hub over TLS with 100,000 devices in its database, against nginx.

nginx serves a file of 200 bytes over TLS with the hub's own certificate, two workers. The same wrk
script loads both in turn: every request carries the token of another device. The hub looks up
session, device and jobs in SQLite for each. Rounds alternate; the best and the median are compared.

usage: hub_polls.py [ROUNDS] [SECONDS]
"""
import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

from lib import BUILD, emit, sh, workdir

DEVICES = 100_000
CONNECTIONS = 64
THREADS = 2

LUA = '''
local requests, at = {}, 0
function init(args)
  math.randomseed(os.time())
  for token in io.lines("%s") do
    requests[#requests + 1] = wrk.format("GET", "/device/v1/work", { ["Authorization"] = "Bearer " .. token, ["Host"] = "hub" })
  end
  at = math.random(#requests)
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RATE %%f BAD %%d P99 %%f\\n", summary.requests / summary.duration * 1e6,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99) / 1000))
end
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(200):
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError('the server did not come')


def fill(data, tokens):
    """Devices with a session each, straight into the database of a hub that is not running."""
    db = sqlite3.connect(data / 'hub.db')
    now = int(time.time())
    db.execute("INSERT INTO projects (id, org_id, name, created_s) VALUES (1, 1, 'bench', ?)", (now,))
    db.execute("INSERT INTO deployments (id, org_id, project_id, name, created_s) VALUES (1, 1, 1, 'field', ?)", (now,))
    with open(tokens, 'w') as f:
        for i in range(1, DEVICES + 1):
            uid = hashlib.sha256(b'device%d' % i).hexdigest()
            token = 'skd_' + hashlib.sha256(os.urandom(16)).hexdigest()
            f.write(token + '\n')
            db.execute("INSERT INTO devices (id, uid, org_id, deployment_id, status, name, public_key, compatible, peer, enrolled_s)"
                       " VALUES (?, ?, 1, 1, 'accepted', ?, ?, '[\"skerry,virtual\"]', '192.0.2.1', ?)",
                       (i, uid, f'device-{i}', 'A' * 124, now))
            db.execute('INSERT INTO sessions (device_id, hash, expires_s) VALUES (?, ?, ?)',
                       (i, hashlib.sha256(token.encode()).digest(), now + 86400))
    db.commit()
    db.close()


def start_nginx(work, data):
    port = free_port()
    www = work / 'www'
    www.mkdir()
    (www / 'poll').write_bytes(b'x' * 200)
    os.chmod(work, 0o755)
    os.chmod(www, 0o755)
    conf = work / 'nginx.conf'
    conf.write_text(f'''user root;
worker_processes 2; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=10;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {data}/tls/cert.pem; ssl_certificate_key {data}/tls/key.pem;
    location / {{ root {www}; try_files /poll =404; }} }} }}
''')
    return subprocess.Popen(['nginx', '-c', conf, '-p', work], stderr=subprocess.DEVNULL), port


def start_hub(data):
    hub = subprocess.Popen([BUILD / 'src/hub/skerry-hub', '--data', data, '--listen', '127.0.0.1:0', '--name', '127.0.0.1',
                            '--set', 'threads=2'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = hub.stdout.readline()
    return hub, int(line.split()[1].rsplit(':', 1)[1])


def load(port, script, seconds):
    """(requests per second, milliseconds at the 99th percentile)"""
    out = sh('wrk', f'-t{THREADS}', f'-c{CONNECTIONS}', f'-d{seconds}s', '-s', script, f'https://127.0.0.1:{port}/device/v1/work')
    rate, bad, p99 = re.search(r'RATE ([\d.]+) BAD (\d+) P99 ([\d.]+)', out).groups()
    assert int(bad) == 0, out
    return float(rate), float(p99)


def main():
    rounds, seconds = (int(a) for a in (sys.argv[1:] + ['5', '6'][len(sys.argv) - 1:]))
    for tool in ('wrk', 'nginx'):
        if not shutil.which(tool):
            sys.exit(f'{tool} is needed: apt-get install wrk nginx-light')
    with workdir() as work:
        data, tokens, script = work / 'hub', work / 'tokens', work / 'poll.lua'
        (work / 'password').write_text('correct-horse-battery')
        sh(BUILD / 'src/hub/skerry-hub', 'init', '--data', data, '--org', 'acme', '--owner', 'alice', '--name', '127.0.0.1',
           '--password-file', work / 'password')
        fill(data, tokens)
        script.write_text(LUA % tokens)
        nginx, nginx_port = start_nginx(work, data)
        hub, hub_port = start_hub(data)
        try:
            wait_port(nginx_port)
            ours, peer = [], []
            for port in (hub_port, nginx_port):
                load(port, script, 2)
            for n in range(rounds):
                ours.append(load(hub_port, script, seconds))
                peer.append(load(nginx_port, script, seconds))
                print(f'round {n + 1}: hub {ours[-1][0]:.0f}/s p99 {ours[-1][1]:.1f} ms, nginx {peer[-1][0]:.0f}/s '
                      f'p99 {peer[-1][1]:.1f} ms, ratio {ours[-1][0] / peer[-1][0]:.2f}', file=sys.stderr)
            rss = int(re.search(r'VmRSS:\s+(\d+)', open(f'/proc/{hub.pid}/status').read()).group(1))
        finally:
            for p in (hub, nginx):
                p.terminate()
                p.wait()
    ratio = statistics.median(o[0] / p[0] for o, p in zip(ours, peer))
    emit('hub polls per second over TLS, 100,000 devices', f'{statistics.median(o[0] for o in ours):.0f}/s ({rss // 1024} MB)',
         f'nginx, 200-byte file {statistics.median(p[0] for p in peer):.0f}/s', f'{ratio:.2f}', 'at least 0.5', ratio >= 0.5)


if __name__ == '__main__':
    main()
