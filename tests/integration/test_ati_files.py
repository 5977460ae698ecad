"""file_manager through the gateway and the command line: downloads, and uploads to fakes of Google's storage and of fal.ai's."""

import base64
import hashlib
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from harness import certs
from harness.ati import Folder, Proxy

MANIFEST = """
[provider]
name = "file_manager"
description = "Files"
handler = "file_manager"
upload_default_destination = "bucket"

[provider.upload_destinations.bucket]
kind = "gcs"
bucket = "b-1"
endpoint = "{origin}"

[provider.upload_destinations.fal]
kind = "fal_storage"
endpoint = "{origin}"
"""


class Server:
    """A server that answers by a table: path without query -> function of the handler, which gives (status, fields, body)."""

    def __init__(self, routes, host="127.0.0.1", port=0, certificate=None):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append(self)
                status, fields, body = server.routes[urllib.parse.urlsplit(self.path).path](self)
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **fields}.items():
                    if value is not None:
                        self.send_header(name, str(value))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.routes, self.asked = routes, []
        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if certificate:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{scheme}://{host}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def gives(body, status=200, **fields):
    return lambda _: (status, {name.replace("_", "-"): value for name, value in fields.items()}, body)


@pytest.fixture
def server(stack):
    def start(routes, **how):
        return stack.enter_context(Server(routes, **how))
    return start


@pytest.fixture
def gateway(stack, tmp_path):
    """start(manifests, credentials, **environment) is a gateway without authentication."""
    def start(manifests=None, credentials=None, **environ):
        return stack.enter_context(Proxy(Folder(tmp_path / "ati", manifests, credentials, **environ)))
    return start


def download(one, **arguments):
    return one.call("file_manager:download", arguments)


def test_a_download_through_the_gateway(gateway, server):
    content = bytes(range(256)) * 5000 + b"x"
    there = server({"/a": gives(content, Content_Type="image/png")})
    status, answer = download(gateway(), url=there.url + "/a?key=5")
    assert status == 200, answer
    result = answer["result"]
    assert base64.b64decode(result.pop("content_base64"), validate=True) == content
    assert result == {"content_type": "image/png", "size_bytes": len(content), "source_url": there.url + "/a?key=5", "success": True}


def test_a_download_by_the_command_line(server, tmp_path, gateway):
    """Locally, and through a gateway."""
    content = b"\0\1\2" * 1000
    there = server({"/a": gives(content)})
    one = gateway()
    for environ in ({}, {"ATI_PROXY_URL": one.url}):
        out = tmp_path / "out"
        done = one.folder.run("run", "file_manager:download", "--url", there.url + "/a", "--out", out, **environ)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["path"] == str(out)
        assert out.read_bytes() == content
        out.unlink()


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_download_has_its_limit(gateway, server, framing):
    body = b"x" * 1001
    there = server({"/a": gives(body) if framing == "length" else gives(chunks(body), Transfer_Encoding="chunked", Content_Length=None)})
    one = gateway()
    status, answer = download(one, url=there.url + "/a", max_bytes=1000)
    assert (status, answer) == (413, {"result": None, "error": "Response exceeds max-bytes (1000 bytes)"})
    assert download(one, url=there.url + "/a", max_bytes="1001")[0] == 200


def chunks(body):
    pieces = [body[at:at + 100] for at in range(0, len(body), 100)] + [b""]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)


def test_the_allowlist_and_redirects(gateway, server):
    inside = server({"/secret": gives(b"inside")}, host="127.0.0.2")
    there = server({"/a": gives(b"ok"), "/moved": gives(b"", 302, Location="/a"), "/away": gives(b"", 302, Location=inside.url + "/secret")})
    one = gateway(ATI_DOWNLOAD_ALLOWLIST="127.0.0.1, *.example.com")
    assert download(one, url=there.url + "/moved")[0] == 200
    assert download(one, url=there.url + "/away") == (403, {"result": None, "error": "Host '127.0.0.2' is not in the download allowlist"})
    assert download(one, url="http://example.org/") == (403, {"result": None, "error": "Host 'example.org' is not in the download allowlist"})
    status, answer = download(one, url=there.url + "/moved", follow_redirects=False)
    assert status == 400 and answer["error"].startswith("Upstream returned status 302 for '"), answer
    assert not inside.asked


def test_no_address_inside(gateway, server):
    there = server({"/a": gives(b"ok")})
    one = gateway(ATI_SSRF_PROTECTION="1")
    for url in (there.url + "/a", there.url.replace("127.0.0.1", "localhost") + "/a", "http://169.254.169.254/latest/meta-data/"):
        status, answer = download(one, url=url)
        assert (status, answer["error"]) == (403, f"URL is not allowed (private/internal address): {url}")
    assert not there.asked


def test_mistakes_of_a_caller(gateway, server):
    there = server({"/gone": gives(b"y" * 600, 410), "/a": lambda h: (200, {}, json.dumps(dict(h.headers)).encode())})
    one = gateway()
    for arguments, status, text in [
        ({}, 400, "Missing required argument: url"),
        ({"url": there.url, "headers": {"Host": "x"}}, 400, "Invalid extra header 'Host': "),
        ({"url": there.url, "timeout": 0}, 400, "Invalid argument 'timeout': must be > 0"),
        ({"url": "nonsense"}, 502, "Invalid URL: "),
        ({"url": there.url + "/gone?key=hidden"}, 410, f"Upstream returned status 410 for '{there.url}/gone': " + "y" * 512),
    ]:
        got, answer = download(one, **arguments)
        assert got == status and answer["result"] is None and answer["error"].startswith(text), (arguments, got, answer)
        assert "hidden" not in answer["error"] and len(answer["error"]) < 700
    status, answer = download(one, url=there.url + "/a", headers={"X-Key": "v", "X-Number": 5})
    sent = json.loads(base64.b64decode(answer["result"]["content_base64"]))
    assert sent["X-Key"] == "v" and sent["X-Number"] == "5"


# --- uploads ---

@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A service account's key, and what it verifies with."""
    folder = tmp_path_factory.mktemp("account")
    key, public = folder / "key.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    return key.read_text(), public


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def check_assertion(assertion, public, audience, tmp_path):
    header, claims, signature = assertion.split(".")
    (tmp_path / "signature").write_bytes(decode(signature))
    (tmp_path / "signed").write_text(f"{header}.{claims}")
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", tmp_path / "signature", tmp_path / "signed"], check=True,
                   capture_output=True)
    claims = json.loads(decode(claims))
    assert json.loads(decode(header))["alg"] == "RS256"
    assert claims["iss"] == "me@project.test" and claims["aud"] == audience
    assert abs(claims["iat"] - time.time()) < 300 and claims["exp"] == claims["iat"] + 3600


class Storage:
    """A fake of Google's storage and its tokens; or of fal.ai's."""

    def __init__(self, public, tmp_path):
        self.public, self.tmp_path, self.tokens, self.objects = public, tmp_path, 0, {}
        self.url = None  # as soon as it is known
        self.fal = None

    def token(self, handler):
        form = urllib.parse.parse_qs(handler.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        check_assertion(form["assertion"][0], self.public, self.url + "/token", self.tmp_path)
        self.tokens += 1
        return 200, {}, json.dumps({"access_token": "storage-token-0123456789", "expires_in": 3600, "token_type": "Bearer"}).encode()

    def put(self, handler):
        if handler.headers["Authorization"] != "Bearer storage-token-0123456789":
            return 401, {}, b"who are you"
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        assert query["uploadType"] == ["media"]
        self.objects[query["name"][0]] = (handler.headers["Content-Type"], handler.body)
        return 200, {}, b"{}"

    def fal_token(self, handler):
        assert handler.headers["Authorization"] == "Key fal-key-0123456789" and handler.path.endswith("?storage_type=fal-cdn-v3")
        return 200, {}, json.dumps({"token": "fal-token-0123456789", "token_type": "Bearer", "base_url": self.fal}).encode()

    @property
    def routes(self):
        return {"/token": self.token, "/upload/storage/v1/b/b-1/o": self.put, "/storage/auth/token": self.fal_token}


@pytest.fixture
def storage(server, account, tmp_path, gateway):
    key, public = account
    fake = Storage(public, tmp_path)
    there = server(fake.routes)
    fake.url = there.url
    credentials = {"gcp_credentials": json.dumps({"type": "service_account", "client_email": "me@project.test", "private_key": key,
                                                  "token_uri": there.url + "/token"}),
                   "fal_api_key": "fal-key-0123456789"}
    fake.gateway = gateway({"files": MANIFEST.format(origin=there.url)}, credentials)
    return fake


def upload(one, content, **arguments):
    return one.call("file_manager:upload", {"filename": "x", "content_base64": base64.b64encode(content).decode(), **arguments})


def test_an_upload_into_a_bucket(storage):
    content = bytes(range(256)) * 20_000
    status, answer = upload(storage.gateway, content, filename="../a b.pdf")
    assert status == 200, answer
    (name, (kind, stored)), = storage.objects.items()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(content).digest() and kind == "application/pdf"
    prefix, day, rest = name.split("/")
    assert prefix == "ati-uploads" and time.strptime(day, "%Y-%m-%d") and rest.endswith("-a b.pdf") and len(rest) == 36 + len("-a b.pdf")
    assert answer["result"] == {"content_type": "application/pdf", "destination": "bucket", "size_bytes": len(content), "success": True,
                                "url": f"{storage.url}/b-1/{urllib.parse.quote(name)}"}
    assert upload(storage.gateway, b"", filename="x", content_type="a/b", destination="bucket")[0] == 200
    assert storage.tokens == 1  # for all of them
    assert sorted(kind for kind, _ in storage.objects.values()) == ["a/b", "application/pdf"]


def test_an_upload_by_the_command_line(storage, tmp_path):
    path = tmp_path / "note.md"
    path.write_text("# note")
    done = storage.gateway.folder.run("run", "file_manager:upload", "--path", path, ATI_PROXY_URL=storage.gateway.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["content_type"] == "text/markdown"
    (_, stored), = storage.objects.values()
    assert stored == b"# note"


def test_uploads_that_cannot_be(storage):
    one = storage.gateway
    for content, arguments, status, text in [
        ("!!!!", {}, 400, "Invalid base64 in upload payload: "),
        ("", {"destination": "elsewhere"}, 403, "Unknown upload destination 'elsewhere' — not in the operator's allowlist"),
    ]:
        got, answer = one.call("file_manager:upload", {"filename": "x", "content_base64": content, **arguments})
        assert got == status and answer["error"].startswith(text), answer
    for missing in "filename", "content_base64":
        given = {name: "eA==" for name in ("filename", "content_base64") if name != missing}
        assert one.call("file_manager:upload", given) == (400, {"result": None, "error": f"Missing required argument: {missing}"})
    assert not storage.objects


def test_without_destinations(gateway):
    status, answer = upload(gateway(), b"x")
    assert status == 503 and answer["error"].startswith("Upload destinations not configured on the proxy — ")


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "https://127.0.0.1:1", "https://localhost:1", "https://[::ffff:10.0.0.1]:1"])
def test_fal_must_not_point_inside(storage, base):
    """Whatever the settings: here the address rules are off."""
    storage.fal = base
    status, answer = upload(storage.gateway, b"x", destination="fal")
    assert status == 502 and answer["error"].startswith("Upload failed: "), answer
    assert "0123456789" not in answer["error"]


def test_an_upload_to_fal(netns, stack, tmp_path, account):
    """Its CDN must be public and speak TLS: in a network where 8.8.4.4 is ours."""
    net = netns("8.8.4.4/32")
    authority = certs.authority(tmp_path)
    certificate = certs.server(tmp_path, authority, "cdn", sans=("IP:8.8.4.4", "DNS:cdn.test"))
    got = []

    def take(handler):
        got.append((handler.headers["Authorization"], handler.headers["X-Fal-File-Name"], handler.headers["Content-Type"], handler.body))
        return 200, {}, json.dumps({"access_url": "https://cdn.test/f/a.png"}).encode()
    with net:
        cdn = stack.enter_context(Server({"/base/files/upload": take}, host="8.8.4.4", port=443, certificate=certificate))
        fake = Storage(account[1], tmp_path)
        there = stack.enter_context(Server(fake.routes))
        fake.fal = cdn.url + "/base/"
        folder = Folder(tmp_path / "ati", {"files": MANIFEST.format(origin=there.url)}, {"fal_api_key": "fal-key-0123456789"},
                        SSL_CERT_FILE=str(authority.cert))
        one = stack.enter_context(Proxy(folder))
        status, answer = upload(one, b"png", filename="a.png", destination="fal")
    assert status == 200, answer
    assert answer["result"] == {"content_type": "image/png", "destination": "fal", "size_bytes": 3, "success": True, "url": "https://cdn.test/f/a.png"}
    assert got == [("Bearer fal-token-0123456789", "a.png", "image/png", b"png")]
