# SPDX-License-Identifier: Apache-2.0
"""A hub on loopback for tests: started, asked, killed; devices that are only a key; small releases.

Standard library and the openssl and dtc commands only. No daemon of a device is needed.
"""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from ports import free_port

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SKERRY_BUILD', TOP / 'build'))
HUB = BUILD / 'src/hub/skerry-hub'
SKERRY = BUILD / 'src/cli/skerry'
PASSWORD = 'correct-horse-battery'


def wait_for(probe, what='it', seconds=60):
    """Asks again and again until @probe says yes."""
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, f'{what} did not come within {seconds} s'
        time.sleep(0.05)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f'<{self.status} {self.body[:300]!r}>'


class Hub:
    """A hub with its own folder; `with` ends it."""

    def __init__(self, folder, *settings):
        self.dir = pathlib.Path(folder)
        self.data = self.dir / 'data'
        self.settings = settings
        self.process, self.port = None, free_port()
        self.password_file = self.dir / 'password'
        self.password_file.write_text(PASSWORD + '\n')
        self.tls = None
        self.program = [HUB, '--data', self.data]

    def admin(self, *argv):
        return subprocess.run([*self.program, *argv], capture_output=True, text=True, timeout=60)

    def add_org(self, org, owner):
        verb = ('org', 'add', org) if (self.data / 'ca.pem').exists() else ('init', '--org', org, '--name', '127.0.0.1')
        r = self.admin(*verb, '--owner', owner, '--password-file', self.password_file)
        assert r.returncode == 0, r.stderr

    def start(self):
        # Whatever the tests themselves were started with, as under nohup.
        argv = ['env', '--default-signal=HUP', *self.program, '--listen', f'127.0.0.1:{self.port}', '--name', '127.0.0.1']
        for s in self.settings:
            argv += ['--set', s]
        with open(self.dir / 'hub.log', 'a') as log:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith('ready: '), (line, self.log())
        self.port = int(line.split()[1].rsplit(':', 1)[1])
        self.tls = ssl.create_default_context(cafile=self.data / 'ca.pem')
        return self

    def log(self):
        return (self.dir / 'hub.log').read_text()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        code = self.process.wait(60)
        assert code == 0, (code, self.log()[-4000:])

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process and self.process.poll() is None:
            if exc[0]:
                self.kill()
            else:
                self.stop()

    def connect(self, timeout=30):
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=timeout, context=self.tls)

    def ask(self, method, path, body=None, token=None, raw=None, headers=None, conn=None):
        """One request; @body goes as JSON, @raw as it is."""
        c = conn or self.connect()
        h = dict(headers or {})
        if token:
            h['Authorization'] = 'Bearer ' + token
        data = json.dumps(body).encode() if body is not None else raw
        try:
            c.request(method, path, data, h)
            r = c.getresponse()
            return Answer(r.status, dict(r.getheaders()), r.read())
        finally:
            if not conn:
                c.close()

    def slow(self, method, path, token, body, first):
        """A request that was let in by its head, and whose body stops after @first bytes; a function that sends
        the rest and gives the answer."""
        raw = socket.create_connection(('127.0.0.1', self.port), timeout=60)
        s = self.tls.wrap_socket(raw, server_hostname='127.0.0.1')
        s.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n'
                  f'Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n'.encode())
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += s.recv(1)
        assert b' 100 ' in head, head
        s.sendall(body[:first])

        def finish():
            s.sendall(body[first:])
            r = http.client.HTTPResponse(s)
            r.begin()
            answer = Answer(r.status, dict(r.getheaders()), r.read())
            s.close()
            return answer
        return finish

    def login(self, org, user, password=PASSWORD):
        a = self.ask('POST', '/api/v1/login', {'organisation': org, 'user': user, 'password': password})
        assert a.status == 200, a
        return a.json['token']


def openssl(*argv, data=None):
    r = subprocess.run(['openssl', *[str(a) for a in argv]], input=data, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return r.stdout


class Device:
    """A device that is only a key."""

    def __init__(self, hub, folder, name):
        self.hub, self.name = hub, name
        self.key = pathlib.Path(folder) / f'{name}.key'
        if not self.key.exists():
            openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', self.key)
        der = openssl('pkey', '-in', self.key, '-pubout', '-outform', 'DER')
        self.public_key = base64.b64encode(der).decode()
        self.id = hashlib.sha256(der).hexdigest()
        self.token = None

    def challenge(self):
        a = self.hub.ask('POST', '/device/v1/challenge', {})
        assert a.status == 200, a
        return a.json['challenge']

    def sign(self, purpose, challenge):
        text = f'{purpose}\n{challenge}\n{self.id}'.encode()
        return base64.b64encode(openssl('dgst', '-sha256', '-sign', self.key, data=text)).decode()

    def enrol_body(self, **more):
        challenge = self.challenge()
        body = {'public_key': self.public_key, 'challenge': challenge, 'signature': self.sign('skerry-enrol', challenge),
                'compatible': ['skerry,virtual'], 'name': self.name}
        body.update(more)
        return body

    def enrol(self, **more):
        return self.hub.ask('POST', '/device/v1/enrol', self.enrol_body(**more))

    def session_body(self):
        challenge = self.challenge()
        return {'device_id': self.id, 'challenge': challenge, 'signature': self.sign('skerry-session', challenge)}

    def session(self):
        a = self.hub.ask('POST', '/device/v1/session', self.session_body())
        if a.status == 200:
            self.token = a.json['token']
        return a

    def ask(self, method, path, body=None, **kw):
        return self.hub.ask(method, '/device/v1' + path, body, token=self.token, **kw)

    def work(self, wait=0, **kw):
        a = self.ask('GET', f'/work?wait={wait}', **kw)
        assert a.status in (200, 204), a
        return a.json['job'] if a.status == 200 else None

    def report(self, job, step, **more):
        a = self.ask('POST', f'/jobs/{job}/report', dict(step=step, **more))
        assert a.status == 204, a


class Signer:
    """A root and a certificate that signs releases."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.ca, self.cert, self.key = self.dir / 'ca.pem', self.dir / 'cert.pem', self.dir / 'cert.key'
        ca_key, csr, ext = self.dir / 'ca.key', self.dir / 'csr', self.dir / 'ext'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', ca_key, '-out',
                self.ca, '-days', '30', '-subj', '/CN=root', '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.key, '-out', csr,
                '-subj', '/CN=builder')
        ext.write_text('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
                       'extendedKeyUsage=codeSigning\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n')
        openssl('x509', '-req', '-in', csr, '-CA', self.ca, '-CAkey', ca_key, '-CAcreateserial', '-out', self.cert,
                '-days', '30', '-extfile', ext)

    def sign(self, data):
        return openssl('cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', '-signer', self.cert, '-inkey', self.key,
                       '-md', 'sha256', data=data)


class Root:
    """A root that issues revocation lists with the openssl command."""

    def __init__(self, folder, name='root'):
        self.dir = folder
        folder.mkdir()
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', folder / 'ca.key', '-out',
                folder / 'ca.pem', '-days', '30', '-subj', f'/CN={name}', '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
        (folder / 'index').write_text('')
        (folder / 'conf').write_text(f'''[ca]
default_ca = d
[d]
database = {folder}/index
crlnumber = {folder}/number
default_md = sha256
crl_extensions = e
[e]
authorityKeyIdentifier = keyid
''')

    def crl(self, number, *more, der=False):
        """One list; @more: options of openssl ca."""
        (self.dir / 'number').write_text(f'{number:02X}' if len(f'{number:02X}') % 2 == 0 else f'0{number:X}')
        pem = openssl('ca', '-gencrl', '-config', self.dir / 'conf', '-cert', self.dir / 'ca.pem', '-keyfile', self.dir / 'ca.key',
                      '-crldays', '30', *more)
        return openssl('crl', '-outform', 'DER', data=pem) if der else pem

    def revoke(self, serials):
        self.dir.joinpath('index').write_text(''.join(
            f'R\t351231235959Z\t260101000000Z\t{s:04X}\tunknown\t/CN=x{s}\n' for s in serials))


class Release:
    """A release with its images as bytes: .skr, .id, .images {digest: bytes}."""

    def __init__(self, signer, project, version, images, claimed=None, extra=''):
        apps = ''.join(f'{n} {{ image = "{n}.itb"; }};\n' for n in images)
        pins = ''
        self.images, self.version = {}, version
        for name, data in sorted(images.items()):
            digest = hashlib.sha256(data).hexdigest()
            size = (claimed or {}).get(name, len(data))
            self.images[digest] = data
            pins += f'{name}.itb {{ sha256 = "{digest}"; size = /bits/ 64 <{size}>; }};\n'
        dts = f'''/dts-v1/;
/ {{
persistent-boot;
release {{ project = "{project}"; version = "{version}"; compatible = "skerry,virtual"; created = /bits/ 64 <1700000000>; }};
apps {{ {apps} }};
{extra}
images {{ {pins} }};
}};'''
        r = subprocess.run(['dtc', '-q', '-I', 'dts', '-O', 'dtb'], input=dts.encode(), capture_output=True)
        assert r.returncode == 0, r.stderr
        self.tree = r.stdout
        self.id = hashlib.sha256(r.stdout).hexdigest()
        self.skr = signer.sign(r.stdout)


def upload(hub, token, project, release):
    """Release and all missing images, whole; the release as the hub shows it."""
    a = hub.ask('POST', f'/api/v1/projects/{project}/releases', raw=release.skr, token=token)
    assert a.status in (200, 201), a
    for image in a.json['images']:
        if not image['have']:
            offset = image['offset']
            put = hub.ask('PUT', f'/api/v1/images/{image["digest"]}?offset={offset}', token=token,
                          raw=release.images[image['digest']][offset:])
            assert put.status == 200 and put.json['complete'], put
    return a.json


def make_world(hub, org, owner):
    """An owner's token, a project "station" with deployment "field"."""
    token = hub.login(org, owner)
    for path, name in (('/api/v1/projects', 'station'), ('/api/v1/projects/station/deployments', 'field')):
        a = hub.ask('POST', path, {'name': name}, token=token)
        assert a.status == 201, a
    return token


def enrolment_token(hub, token, **more):
    a = hub.ask('POST', '/api/v1/projects/station/deployments/field/enrolment-tokens', dict(name='t', **more), token=token)
    assert a.status == 201, a
    return a.json['token']


def joined_device(hub, folder, name, enrolment):
    """A device that came in by token, with a session."""
    device = Device(hub, folder, name)
    a = device.enrol(token=enrolment)
    assert a.status == 200, a
    assert device.session().status == 200
    return device


def temp_folder():
    return tempfile.TemporaryDirectory(prefix='skerry-hub-')


class Description:
    """docs/reference/hub-api.yaml: which route a request is for, and is the answer as described?"""

    METHODS = ('get', 'put', 'post', 'patch', 'delete')

    def __init__(self):
        import jsonschema
        import yaml
        self.doc = yaml.safe_load((TOP / 'docs/reference/hub-api.yaml').read_text())
        self.resolver = jsonschema.RefResolver('', self.doc)
        self.validator = jsonschema.Draft202012Validator
        self.seen = set()

    def operations(self):
        for path, item in self.doc['paths'].items():
            for method, operation in item.items():
                if method in self.METHODS:
                    yield method.upper(), path, operation

    def deref(self, node):
        return self.resolver.resolve(node['$ref'])[1] if '$ref' in node else node

    def find(self, method, path):
        path = path.split('?')[0]
        best = None
        for m, pattern, operation in self.operations():
            want, got = pattern.split('/'), path.split('/')
            if m == method and len(want) == len(got) and all(w.startswith('{') or w == g for w, g in zip(want, got)):
                if best is None or pattern.count('{') < best[0].count('{'):
                    best = (pattern, operation)
        return best

    def check(self, method, path, answer):
        found = self.find(method, path)
        if not found:
            return
        pattern, operation = found
        self.seen.add((method, pattern, answer.status))
        assert str(answer.status) in operation['responses'], (method, pattern, answer)
        content = self.deref(operation['responses'][str(answer.status)]).get('content', {})
        if 'application/json' in content:
            schema = content['application/json']['schema']
            self.validator(schema, resolver=self.resolver).validate(answer.json)
        elif not content:
            assert answer.body == b'', answer


class CheckedHub(Hub):
    """Every answer is compared with the description of the API."""

    description = None

    def ask(self, method, path, body=None, **kw):
        answer = super().ask(method, path, body, **kw)
        if CheckedHub.description is None:
            CheckedHub.description = Description()
        self.description.check(method, path, answer)
        return answer
