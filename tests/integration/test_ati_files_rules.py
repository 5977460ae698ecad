"""file_manager, promise by promise: arguments and what is wrong with them, hosts that may be asked, types by extension, destinations and their refusals."""

import base64
import collections
import contextlib
import datetime
import json
import re
import subprocess
import urllib.parse

import pytest

from harness import certs, netns
from harness.ati import Folder, Proxy, Upstream
from harness.dns import Dns, Reply
from test_ati_files import Server
from test_ati_requests import name_servers

BIG = 524288000


def answer(request):
    """/says?…, or what was asked."""
    url = urllib.parse.urlsplit(request["path"])
    asked = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    if url.path == "/says":
        return int(asked.get("status", 200)), {"Location": asked["to"]} if "to" in asked else {}, asked.get("body", "").encode()
    if url.path == "/hop":
        left = int(asked["left"])
        return (302, {"Location": f"/hop?left={left - 1}"}, b"") if left else (200, {}, b"arrived")
    return Upstream.echo(request)


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as up:
        yield up


CUSTOM = '[provider]\nname = "other"\ndescription = "d"\nhandler = "file_manager"\n[[tools]]\nname = "other:destroy"\ndescription = "d"\n'
BROKEN = """
[provider]
name = "{name}"
description = "d"
handler = "file_manager"
{default}
[[tools]]
name = "{name}:upload"
description = "d"
[provider.upload_destinations.gcs]
kind = "gcs"
bucket = "b"
[provider.upload_destinations.fal]
kind = "fal_storage"
[provider.upload_destinations.named]
kind = "gcs"
bucket = "b"
key_ref = "an_account"
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    manifests = {"files": '[provider]\nname = "file_manager"\ndescription = "d"\nhandler = "file_manager"\n', "other": CUSTOM, "set": BROKEN.format(name="set", default='upload_default_destination = "fal"'), "unset": BROKEN.format(name="unset", default="")}
    with Proxy(Folder(tmp_path_factory.mktemp("files"), manifests)) as one:
        yield one


def download(proxy, **arguments):
    status, told = proxy.call("file_manager:download", arguments)
    return status, told.get("error") or told["result"]


def content(result):
    return base64.b64decode(result["content_base64"], validate=True)


# --- what is asked for ----------------------------------------------------------------------------


def test_what_a_download_asks(proxy, upstream):
    status, result = download(proxy, url=f"  {upstream.url}/x?a=1 ")
    told = json.loads(content(result))
    assert status == 200 and (told["method"], told["path"], told["headers"]["accept"]) == ("GET", "/x?a=1", "*/*") and "authorization" not in told["headers"]
    assert result["source_url"] == f"{upstream.url}/x?a=1"


@pytest.mark.parametrize("headers", [{"X-A": "b", "X-N": 1.5, "X-T": True}, '{"X-A": "b", "X-N": 1.5, "X-T": true}'], ids=["object", "text"])
def test_fields_of_the_caller(proxy, upstream, headers):
    told = json.loads(content(download(proxy, url=upstream.url + "/x", headers=headers)[1]))["headers"]
    assert (told["x-a"], told["x-n"], told["x-t"]) == ("b", "1.5", "true")
    for nothing in (None, "", "  ", {}):
        assert download(proxy, url=upstream.url + "/x", headers=nothing)[0] == 200


@pytest.mark.parametrize("name", ["Host", "CONTENT-LENGTH", "transfer-encoding", "Connection", "Proxy-Authorization", "a b", "a:b", "ä", "a\tb", ""])
def test_fields_that_are_not_the_callers(proxy, upstream, name):
    before = len(upstream.asked)
    status, error = download(proxy, url=upstream.url, headers={name: "x"})
    assert status == 400 and error.startswith("Invalid extra header '") and len(upstream.asked) == before
    status, error = download(proxy, url=upstream.url, headers={"X-A": "x\r\ny"})
    assert status == 400 and error.startswith("Invalid extra header 'X-A': ")


@pytest.mark.parametrize("arguments, error", [
    ({}, "Missing required argument: url"), ({"url": " "}, "Missing required argument: url"), ({"url": 7}, "Missing required argument: url"),
    ({"max_bytes": 0}, "Invalid argument 'max_bytes': must be > 0"), ({"max-bytes": 0}, "Invalid argument 'max_bytes': must be > 0"),
    ({"max_bytes": -1}, "Invalid argument 'max_bytes': must be a positive integer"), ({"max_bytes": [1]}, "Invalid argument 'max_bytes': must be a positive integer"),
    ({"max_bytes": "many"}, "Invalid argument 'max_bytes': invalid digit found in string"), ({"timeout": "soon"}, "Invalid argument 'timeout': invalid digit found in string"),
    ({"headers": "{"}, "Invalid argument 'headers': invalid JSON"), ({"headers": 7}, "Invalid argument 'headers': must be a JSON object or JSON string"),
    ({"headers": "[]"}, "Invalid argument 'headers': must be a JSON object"), ({"headers": {"A": []}}, "Invalid argument 'headers': value for 'A' must be a string, number, or bool")])
def test_arguments_that_cannot_be_meant(proxy, upstream, arguments, error):
    if "error" not in arguments and not error.startswith("Missing"):
        arguments = {"url": upstream.url, **arguments}
    status, told = download(proxy, **arguments)
    assert status == 400 and told.startswith(error)


def test_redirects_as_they_are_asked_for(proxy, upstream):
    assert content(download(proxy, url=upstream.url + "/hop?left=10")[1]) == b"arrived"
    status, error = download(proxy, url=upstream.url + "/hop?left=11")
    assert status == 502 and error.startswith(f"HTTP error fetching '{upstream.url}/hop': ")
    for flag in ("follow_redirects", "follow-redirects"):
        assert download(proxy, url=upstream.url + "/hop?left=1", **{flag: False}) == (400, f"Upstream returned status 302 for '{upstream.url}/hop': ")


@pytest.mark.parametrize("status, told", [(301, 400), (400, 400), (404, 404), (418, 418), (503, 503), (599, 599)])
def test_an_upstreams_status_is_the_answers(proxy, upstream, status, told):
    body = "x" * 600
    assert download(proxy, url=f"{upstream.url}/says?status={status}&body={body}") == (told, f"Upstream returned status {status} for '{upstream.url}/says': {'x' * 512}")


@pytest.mark.parametrize("url, error", [("nonsense", "Invalid URL: "), ("ftp://a.example/x", "Invalid URL: "), ("http://", "Invalid URL: "),
                                        ("http://127.0.0.1:1/x?key=hidden", "HTTP error fetching 'http://127.0.0.1:1/x': ")])
def test_urls_that_lead_nowhere(proxy, url, error):
    status, told = download(proxy, url=url)
    assert status == 502 and told.startswith(error) and "hidden" not in told


def test_a_download_has_half_a_gigabyte_unless_it_says_less(proxy):
    """By what is announced: at once, before any of it comes."""
    class Handler(Upstream.Handler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(BIG + 1))
            self.end_headers()

    with Upstream() as there:
        there.RequestHandlerClass = Handler
        assert download(proxy, url=there.url) == (413, f"Response exceeds max-bytes ({BIG} bytes)")


def test_another_tool_of_the_provider(proxy):
    assert proxy.call("other:destroy") == (404, {"result": None, "error": "Unknown file_manager tool: 'other:destroy'"})


# --- hosts ----------------------------------------------------------------------------------------

ALLOWED = "Exact.example, *.Wild.example ,,8.8.4.4"


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A gateway with a list of hosts and address rules, where no name is known."""
    if not netns.permitted():
        pytest.skip("network namespaces are not permitted here")
    with contextlib.ExitStack() as stack:
        net = netns.NetNs("8.8.4.4/32", *(f"{address}/32" for address in name_servers() if not address.startswith("127.")))
        stack.callback(net.close)
        with net:
            for address in name_servers():
                Dns({}, address, 53)
            stack.enter_context(Upstream(answer, "8.8.4.4", 8080))
            one = stack.enter_context(Proxy(Folder(tmp_path_factory.mktemp("listed"), ATI_DOWNLOAD_ALLOWLIST=ALLOWED, ATI_SSRF_PROTECTION="1")))

        def get(url):
            with net:
                return download(one, url=url)
        yield get


@pytest.mark.parametrize("host", ["exact.example", "EXACT.example", "wild.example", "a.wild.example", "a.b.WILD.example"])
def test_hosts_on_the_list(listed, host):
    status, error = listed(f"http://{host}/x")
    assert status == 502 and error.startswith(f"HTTP error fetching 'http://{host}/x': ")


@pytest.mark.parametrize("host", ["sub.exact.example", "example", "notwild.example", "wild.example.evil", "exact.example.evil", "8.8.4.40"])
def test_hosts_that_are_not(listed, host):
    assert listed(f"http://{host}/x") == (403, f"Host '{host}' is not in the download allowlist")


def test_each_hop_is_judged(listed):
    assert content(listed("http://8.8.4.4:8080/says?body=x")[1]) == b"x"
    assert listed("http://8.8.4.4:8080/says?status=302&to=http://other.example/") == (403, "Host 'other.example' is not in the download allowlist")
    for inside in ("http://127.0.0.1/", "http://exact.example.internal/"):
        status, error = listed(inside)
        assert status == 403 and error == f"URL is not allowed (private/internal address): {inside}", error


# --- uploads --------------------------------------------------------------------------------------


def upload(proxy, tool="set:upload", **arguments):
    status, told = proxy.call(tool, {"filename": "x", "content_base64": "eA==", **arguments})
    return status, told.get("error") or told["result"]


@pytest.mark.parametrize("arguments, status, error", [
    ({"filename": ""}, 400, "Missing required argument: filename"), ({"filename": None}, 400, "Missing required argument: filename"),
    ({"content_base64": None}, 400, "Missing required argument: content_base64"), ({"content_base64": "eA"}, 400, "Invalid base64 in upload payload: "),
    ({"content_base64": "e A=="}, 400, "Invalid base64 in upload payload: "), ({"destination": "nowhere"}, 403, "Unknown upload destination 'nowhere' — not in the operator's allowlist"),
    ({"destination": "gcs"}, 502, "Upload failed: API key 'gcp_credentials' not found in keyring"), ({"destination": " fal "}, 502, "Upload failed: API key 'fal_api_key' not found in keyring"),
    ({"destination": "named"}, 502, "Upload failed: API key 'an_account' not found in keyring"),
    ({}, 502, "Upload failed: API key 'fal_api_key' not found in keyring"), ({"destination": ""}, 502, "Upload failed: API key 'fal_api_key' not found in keyring")])
def test_uploads_that_cannot_be(proxy, arguments, status, error):
    told = upload(proxy, **arguments)
    assert told[0] == status and told[1].startswith(error), told


def test_no_destination_and_no_default(proxy):
    for tool in ("unset:upload", "file_manager:upload"):
        status, error = upload(proxy, tool)
        assert status == 503 and error.startswith("Upload destinations not configured on the proxy — ")


# --- types by extension ---------------------------------------------------------------------------

TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "svg": "image/svg+xml", "pdf": "application/pdf",
         "mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg",
         "oga": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4", "csv": "text/csv", "json": "application/json", "xml": "application/xml", "zip": "application/zip",
         "html": "text/html", "htm": "text/html", "md": "text/markdown", "txt": "text/plain", "log": "text/plain", "PNG": "image/png", "bin": "application/octet-stream",
         "gz": "application/octet-stream"}


def test_types_by_extension(tmp_path):
    manifest = """
[provider]
name = "w"
description = "d"
handler = "cli"
cli_command = "sh"
cli_default_args = ["-c", 'for a; do case "$a" in */.ati-cli-out-*) : >"$a";; esac; done', "sh"]
cli_output_args = ["-o"]
"""
    with Proxy(Folder(tmp_path, {"w": manifest})) as one:
        words = [word for extension in TYPES for word in ("-o", f"f.{extension}")] + ["-o", "none", "-o", ".png"]
        outputs = one.call("w", raw_args=words)[1]["result"]["outputs"]
    told = {path: output["content_type"] for path, output in outputs.items()}
    assert told == {**{f"f.{extension}": kind for extension, kind in TYPES.items()}, "none": "application/octet-stream", ".png": "image/png"}


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def behind(tmp_path):
    """A proxy that answers with what is set, and keeps what it was asked."""
    class Behind(Upstream):
        result = {}

        def calls(self):
            return [json.loads(request["body"]) for request in self.asked]

    with Behind(lambda request: (200, {"Content-Type": "application/json"}, json.dumps({"result": there.result}).encode())) as there:
        there.folder = Folder(tmp_path / "ati", ATI_PROXY_URL=there.url)
        yield there


def test_what_an_upload_sends(behind, tmp_path):
    path = tmp_path / "pictures" / "a.PNG"
    path.parent.mkdir()
    path.write_bytes(b"\x00\xff")
    behind.result = {"success": True, "url": "https://x/y"}
    for words, sent in (((), {"filename": "a.PNG", "content_type": "image/png"}),
                        (("--object-name", "b.txt", "--content-type", "x/y", "--destination", "d"), {"filename": "b.txt", "content_type": "x/y", "destination": "d"}),
                        (("--object_name", "c", "--content_type", "x/z"), {"filename": "c", "content_type": "x/z"})):
        done = behind.folder.run("run", "file_manager:upload", "--path", path, *words)
        assert done.returncode == 0 and json.loads(done.stdout) == behind.result
        assert behind.calls()[-1]["args"] == {"content_base64": "AP8=", **sent}


def test_what_a_download_gives(behind, tmp_path):
    behind.result = {"content_base64": "AP8=", "content_type": None, "size_bytes": 2, "source_url": "http://u/", "success": True}
    done = behind.folder.run("run", "file_manager:download", "--url", "http://u/", "--inline", "--max-bytes", "9")
    assert json.loads(done.stdout) == behind.result and list(json.loads(done.stdout)) == sorted(behind.result)
    assert behind.calls()[-1]["args"] == {"url": "http://u/", "max-bytes": 9}
    out = tmp_path / "f"
    done = behind.folder.run("run", "file_manager:download", "--url", "http://u/", "--out", out)
    assert out.read_bytes() == b"\x00\xff" and re.match(rf'\{{\n  "content_type": null,\n  "path": "{out}",\n  "size_bytes": 2', done.stdout)


# --- destinations as their providers have them ----------------------------------------------------

DESTINATIONS = """
[provider]
name = "file_manager"
description = "d"
handler = "file_manager"
upload_default_destination = "plain"
[provider.upload_destinations.plain]
kind = "gcs"
bucket = "my-bucket"
[provider.upload_destinations.own]
kind = "gcs"
bucket = "other"
prefix = "a/b/"
key_ref = "another"
[provider.upload_destinations.fal]
kind = "fal_storage"
"""
NAMES = "storage.googleapis.com", "oauth2.test", "rest.alpha.fal.ai", "cdn.test"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network where Google's storage and fal.ai's are ours. run(words) is the command line in it."""
    if not netns.permitted():
        pytest.skip("network namespaces are not permitted here")
    path = tmp_path_factory.mktemp("world")
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path / "key.pem"], check=True, capture_output=True)
    account = {"type": "service_account", "client_email": "me@project.test", "private_key": (path / "key.pem").read_text(), "token_uri": "https://oauth2.test/token"}
    asked, authority = [], certs.authority(path)

    def take(handler):
        asked.append((handler.headers["Host"], handler.path, handler.headers["Authorization"], handler.headers["Content-Type"], handler.body))
        if handler.path == "/token":
            return 200, {}, b'{"access_token": "token-of-google", "expires_in": 3600}'
        if handler.path.startswith("/storage/auth/token"):
            return 200, {}, json.dumps({"token": "token-of-fal", "token_type": "Bearer", "base_url": "https://cdn.test"}).encode()
        return 200, {}, b'{"access_url": "https://cdn.test/f/1"}'

    with contextlib.ExitStack() as stack:
        net = netns.NetNs("8.8.4.4/32", *(f"{address}/32" for address in name_servers() if not address.startswith("127.")))
        stack.callback(net.close)
        with net:
            for address in name_servers():
                Dns({name: Reply(["8.8.4.4"]) for name in NAMES}, address, 53)
            certificate = certs.server(path, authority, "all", sans=tuple(f"DNS:{name}" for name in NAMES))
            there = stack.enter_context(Server({}, host="8.8.4.4", port=443, certificate=certificate))
        there.routes = collections.defaultdict(lambda: take)
        folder = Folder(path / "ati", {"files": DESTINATIONS}, {"gcp_credentials": json.dumps(account), "another": json.dumps({**account, "client_email": "you@project.test"}),
                                                               "fal_api_key": "key-of-fal"}, SSL_CERT_FILE=str(authority.cert), ATI_SSRF_PROTECTION="1")

        def run(*words):
            asked.clear()
            with net:
                done = folder.run("run", "file_manager:upload", *words)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout), asked
        yield run


UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.mark.parametrize("words, bucket, prefix", [((), "my-bucket", "ati-uploads"), (("--destination", "own"), "other", "a/b")])
def test_a_bucket_of_google(world, tmp_path, words, bucket, prefix):
    (tmp_path / "a b.txt").write_text("what it holds")
    told, (token, stored) = world("--path", tmp_path / "a b.txt", *words)
    day = datetime.datetime.now(datetime.timezone.utc).date()
    assert token[:2] == ("oauth2.test", "/token") and token[3] == "application/x-www-form-urlencoded"
    name = urllib.parse.parse_qs(urllib.parse.urlsplit(stored[1]).query)["name"][0]
    assert re.fullmatch(rf"{prefix}/({day}|{day - datetime.timedelta(days=1)})/{UUID}-a b\.txt", name)
    assert stored[0] == "storage.googleapis.com" and stored[1].startswith(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=")
    assert stored[2:] == ("Bearer token-of-google", "text/plain", b"what it holds")
    assert told == {"success": True, "url": f"https://storage.googleapis.com/{bucket}/{urllib.parse.quote(name)}", "size_bytes": 13, "content_type": "text/plain",
                    "destination": words[1] if words else "plain"}


def test_storage_of_fal(world, tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    told, (token, stored) = world("--path", tmp_path / "a.png", "--destination", "fal")
    assert token == ("rest.alpha.fal.ai", "/storage/auth/token?storage_type=fal-cdn-v3", "Key key-of-fal", "application/json", b"{}")
    assert stored == ("cdn.test", "/files/upload", "Bearer token-of-fal", "image/png", b"png")
    assert told == {"success": True, "url": "https://cdn.test/f/1", "size_bytes": 3, "content_type": "image/png", "destination": "fal"}
