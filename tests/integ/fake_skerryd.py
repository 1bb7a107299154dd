# SPDX-License-Identifier: Apache-2.0
"""skerryd's update API on a UNIX socket, as far as the agent uses it: for its tests alone.

A "release file" here is JSON: {"version", "images": [[digest, size]]}; its id is its SHA-256.
"""
import hashlib
import http.server
import json
import os
import re
import socketserver
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def address_string(self):
        return 'unix'

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, slug, text):
        self.answer(status, {'error': slug, 'message': text})

    def do_GET(self):
        d = self.server.daemon
        path = self.path.removeprefix('/skerry/v1')
        if path == '/status':
            missing = [d.image(i) for i in d.wanted if i in d.damaged]
            return self.answer(200, {'skerry': 'fake', 'missing': missing, 'missing_releases': sorted(d.lost), 'capsules': {'total': 0}})
        if path == '/trust':
            return self.answer(200, {'crls': [{'issuer': i, 'issuer_id': hashlib.sha256(i.encode()).hexdigest(), 'number': n,
                                               'digest': '0' * 64} for i, n in d.crls.items()]})
        if path == '/generations':
            return self.answer(200, d.generations)
        if m := re.fullmatch(r'/releases/(\w+)', path):
            if m[1] not in d.releases:
                return self.error(404, 'not-found', 'no such release')
            return self.answer(200, d.release(m[1]))
        if m := re.fullmatch(r'/images/(\w+)', path):
            if m[1] not in d.wanted:
                return self.error(404, 'not-found', 'no such image')
            return self.answer(200, d.image(m[1]))
        if m := re.fullmatch(r'/capsules/([\w.-]+)/logs\?tail=(\d+)', path):
            return self.answer(200, f'log of {m[1]}')
        if m := re.fullmatch(r'/update\?since=(\d+)&wait=(\d+)', path):
            end = time.monotonic() + 0.5
            while d.seq == int(m[1]) and time.monotonic() < end:
                time.sleep(0.01)
            seq, step = d.seq, d.step
            self.answer(200, {'seq': seq, 'step': step})
            d.told = seq
            return None
        return self.error(404, 'not-found', path)

    def do_POST(self):
        d = self.server.daemon
        data = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        path = self.path.removeprefix('/skerry/v1')
        if path == '/releases':
            if d.refuse:
                return self.error(403, *d.refuse)
            id = hashlib.sha256(data).hexdigest()
            d.lost.discard(id)
            d.releases[id] = json.loads(data)
            d.wanted.update({digest: size for digest, size in d.releases[id]['images']})
            return self.answer(200, d.release(id))
        if m := re.fullmatch(r'/releases/(\w+)/apply', path):
            return self.answer(202, {'generation': d.apply(m[1])})
        return self.error(404, 'not-found', path)

    def put_crl(self, d):
        """A list here is JSON: {"issuer", "number", "by"}; "root" alone is believed."""
        data = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        d.crl_puts += 1
        try:
            crl = json.loads(data)
        except ValueError:
            return self.error(400, 'bad-value', 'revocation list: it is not one whole list')
        if crl['by'] != 'root':
            return self.error(403, 'untrusted', 'revocation list: none of the trusted roots signed it')
        changed = crl['number'] > d.crls.get(crl['issuer'], 0)
        if changed:
            d.crls[crl['issuer']] = crl['number']
        return self.answer(200, {'changed': changed})

    def receive(self, d, part, left):
        """Of an image: who asks how much of it is here hears it when all that was sent has been taken."""
        with d.receiving:
            while left > 0 and (chunk := self.rfile.read1(min(left, 65536))):
                part += chunk
                left -= len(chunk)
        return left == 0

    def do_PUT(self):
        d = self.server.daemon
        if self.path == '/skerry/v1/trust/crl':
            return self.put_crl(d)
        m = re.fullmatch(r'/skerry/v1/images/(\w+)\?offset=(\d+)', self.path)
        digest, offset = m[1], int(m[2])
        part = d.parts.setdefault(digest, bytearray())
        if offset != len(part):
            self.close_connection = True
            return self.error(409, 'bad-state', f'{len(part)} bytes are here')
        if self.headers.get('Expect'):
            self.send_response_only(100)
            self.end_headers()
        if not self.receive(d, part, int(self.headers['Content-Length'])):
            self.close_connection = True
            return None
        if len(part) < d.wanted[digest]:
            return self.answer(200, {'offset': len(part), 'complete': False})
        if hashlib.sha256(part).hexdigest() != digest:
            d.parts[digest] = bytearray()
            return self.error(400, 'digest-mismatch', 'arrived damaged')
        d.have.add(digest)
        d.damaged.discard(digest)
        d.arrived.append(digest)
        return self.answer(200, {'offset': len(part), 'complete': True})


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass

    def get_request(self):
        request, _ = super().get_request()
        return request, ('unix', 0)


class FakeSkerryd:
    def __init__(self, path):
        self.path = str(path)
        self.releases, self.wanted, self.parts, self.have, self.damaged, self.lost = {}, {}, {}, set(), set(), set()
        self.generations, self.seq, self.step, self.refuse, self.arrived = [], 1, 'idle', None, []
        self.verdict, self.applied, self.told, self.receiving = ('good', ''), 0, 0, threading.Lock()
        self.crls, self.crl_puts = {}, 0
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = Server(self.path, Handler)
        self.server.daemon = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def image(self, digest):
        have = digest in self.have and digest not in self.damaged
        size = self.wanted[digest]
        with self.receiving:
            offset = size if have else len(self.parts.get(digest, b''))
        return {'digest': digest, 'size_bytes': size, 'have': have, 'offset': offset}

    def release(self, id):
        return {'id': id, 'project': 'p', 'version': self.releases[id]['version'],
                'images': [dict(self.image(d), name='x.itb') for d, _ in self.releases[id]['images']]}

    def damage(self, digest):
        self.parts[digest] = bytearray()
        self.damaged.add(digest)

    def go_to(self, step):
        """And stay there until somebody was told, if anybody asks."""
        self.step, self.seq = step, self.seq + 1
        end = time.monotonic() + 3
        time.sleep(0.15)
        while self.told < self.seq and time.monotonic() < end:
            time.sleep(0.01)

    def apply(self, id):
        self.applied += 1
        number = len(self.generations) + 1
        g = {'generation': number, 'release': id, 'version': '1', 'state': 'trying'}
        self.generations.append(g)

        def later():
            for step in ('stopping', 'starting', 'settling'):
                self.go_to(step)
            g['state'], g['reason'] = self.verdict
            self.step, self.seq = self.verdict[0], self.seq + 1
        threading.Thread(target=later, daemon=True).start()
        return number
