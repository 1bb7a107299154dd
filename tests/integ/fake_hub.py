# SPDX-License-Identifier: Apache-2.0
"""A hub for tests of the agent: the device's half of the API, with faults on demand.

Faults are attributes of the object: cut_after (bytes of an image, then the connection drops),
fail (path prefix -> number of 500 answers), no_ranges, wrong_bytes, status of the device.
"""
import base64
import hashlib
import http.server
import json
import re
import secrets
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

from ports import free_port


def verify(public_key, text, signature):
    """ECDSA-SHA256 by the openssl program: standard library only here."""
    with tempfile.TemporaryDirectory() as d:
        open(f'{d}/k.der', 'wb').write(base64.b64decode(public_key))
        open(f'{d}/sig', 'wb').write(base64.b64decode(signature))
        open(f'{d}/text', 'w').write(text)
        return subprocess.run(['openssl', 'dgst', '-sha256', '-keyform', 'DER', '-verify', f'{d}/k.der', '-signature',
                               f'{d}/sig', f'{d}/text'], capture_output=True).returncode == 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def answer(self, status, body=None):
        data = b'' if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, slug, text):
        self.answer(status, {'error': slug, 'message': text})

    def redirect(self, where):
        self.send_response(302)
        self.send_header('Location', where)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def body(self):
        data = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        return json.loads(data) if data else {}

    def handle_one(self):
        hub, path = self.server.hub, self.path
        body = self.body() if self.command in ('POST', 'PUT') else None
        hub.requests.append((self.command, path))
        for prefix, left in list(hub.fail.items()):
            if path.startswith(prefix) and left > 0:
                hub.fail[prefix] = left - 1
                return self.error(500, 'internal', 'as the test wants it')
        for prefix, (status, slug) in hub.refuse.items():
            if path.startswith(prefix):
                return self.redirect(slug) if status == 302 else self.error(status, slug, 'as the test wants it')
        if path == '/device/v1/challenge':
            challenge = secrets.token_hex(16)
            hub.challenges.add(challenge)
            return self.answer(200, {'challenge': challenge})
        if path == '/device/v1/enrol':
            return self.enrol(hub, body)
        if path == '/device/v1/session':
            return self.session(hub, body)
        if self.headers.get('Authorization') != f'Bearer {hub.token}':
            return self.error(401, 'unauthorized', 'no session')
        return self.inside(hub, path, body)

    do_GET = do_POST = do_PUT = handle_one

    def proven(self, hub, purpose, public_key, device, body):
        if body.get('challenge') not in hub.challenges:
            return False
        hub.challenges.discard(body['challenge'])
        return verify(public_key, f'{purpose}\n{body["challenge"]}\n{device}', body['signature'])

    def enrol(self, hub, body):
        device = hashlib.sha256(base64.b64decode(body['public_key'])).hexdigest()
        if not self.proven(hub, 'skerry-enrol', body['public_key'], device, body):
            return self.error(403, 'forbidden', 'not proven')
        hub.enrolled = body
        hub.device = device
        if hub.want_token and body.get('token') == hub.want_token:
            hub.status = 'accepted'
        return self.answer(200 if hub.status == 'accepted' else 202, {'device_id': device, 'status': hub.status})

    def session(self, hub, body):
        if not hub.enrolled or hub.status != 'accepted':
            return self.error(403, 'forbidden', 'not accepted')
        if not self.proven(hub, 'skerry-session', hub.enrolled['public_key'], hub.device, body):
            return self.error(401, 'unauthorized', 'not proven')
        hub.token = secrets.token_hex(16)
        hub.sessions += 1
        return self.answer(200, {'token': hub.token, 'expires_in_s': hub.session_s})

    def inside(self, hub, path, body):
        if path.startswith('/device/v1/work'):
            return self.work(hub)
        if path == '/device/v1/crls' and self.command == 'GET':
            hub.crl_due = False
            return self.answer(200, {'version': hub.crl_version, 'crls': [
                {'issuer': c['issuer'], 'issuer_id': i, 'number': c['number']} for i, c in hub.crls.items()]})
        if path == '/device/v1/crls':
            hub.crl_reports.append(body)
            return self.answer(204)
        if m := re.fullmatch(r'/device/v1/crls/([0-9a-f]{64})', path):
            hub.crl_fetches += 1
            return self.file(hub, hub.crls[m[1]]['bytes'])
        if m := re.fullmatch(r'/device/v1/releases/([0-9a-f]{64})', path):
            return self.file(hub, hub.releases.get(m[1]))
        if m := re.fullmatch(r'/device/v1/images/([0-9a-f]{64})', path):
            return self.image(hub, hub.images.get(m[1]))
        if m := re.fullmatch(r'/device/v1/jobs/([^/]+)/report', path):
            # First: whoever sees the report may give the next job.
            if body['step'] in ('done', 'failed') and not hub.keep_job and hub.job and hub.job['id'] == m[1]:
                hub.job = None
            hub.reports.append((m[1], body))
            return self.answer(204)
        if path == '/device/v1/inventory':
            hub.inventories.append(body)
            return self.answer(204)
        if path == '/device/v1/logs':
            hub.logs.append(body)
            return self.answer(204)
        return self.error(404, 'not-found', path)

    def work(self, hub):
        end = time.monotonic() + hub.hold_s
        hub.polls += 1
        while not hub.job and not hub.crl_due and time.monotonic() < end and not hub.stopped:
            time.sleep(0.02)
        if hub.crl_due or hub.crl_nags:
            return self.answer(200, {'crls': True})
        return self.answer(200, {'job': hub.job}) if hub.job else self.answer(204)

    def file(self, hub, data):
        if data is None:
            return self.error(404, 'not-found', 'no such file')
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def image(self, hub, data):
        if data is None:
            return self.error(404, 'not-found', 'no such image')
        start = 0
        if (m := re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))) and not hub.no_ranges:
            start = int(m[1])
        hub.image_starts.append(start)
        if hub.wrong_bytes > 0:
            hub.wrong_bytes -= 1
            data = bytes(b ^ 1 for b in data)
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(data) - start))
        self.end_headers()
        end = len(data)
        if hub.cut_after and start + hub.cut_after < end:
            end = start + hub.cut_after
        for at in range(start, end, 65536):
            chunk = data[at:min(at + 65536, end)]
            self.wfile.write(chunk)
            hub.image_bytes += len(chunk)
            if hub.slow_s:
                time.sleep(hub.slow_s)
        if end < len(data):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class FakeHub:
    def __init__(self, tls=None):
        self.status, self.want_token, self.session_s = 'accepted', None, 3600
        self.challenges, self.enrolled, self.device, self.token, self.sessions = set(), None, None, None, 0
        self.releases, self.images, self.job = {}, {}, None
        self.reports, self.inventories, self.logs, self.requests, self.image_starts = [], [], [], [], []
        self.fail, self.cut_after, self.no_ranges, self.wrong_bytes, self.slow_s = {}, 0, False, 0, 0
        self.image_bytes, self.stopped = 0, False
        self.crls, self.crl_version, self.crl_due, self.crl_nags, self.crl_reports, self.crl_fetches = {}, 0, False, False, [], 0
        self.hold_s, self.polls, self.keep_job, self.refuse = 2, 0, False, {}
        self.tls = tls
        self.port = free_port()
        self.start()

    def start(self):
        self.server = Server(('127.0.0.1', self.port), Handler)
        self.server.hub = self
        if self.tls:
            import ssl
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f'{"https" if self.tls else "http"}://{"localhost" if self.tls else "127.0.0.1"}:{self.port}'
        self.stopped = False
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.stopped = True
        self.server.shutdown()
        self.server.server_close()

    def steps(self, job):
        """Steps reported for a job, without repetitions."""
        seen = []
        for j, r in self.reports:
            if j == job and (not seen or seen[-1] != r['step']):
                seen.append(r['step'])
        return seen
