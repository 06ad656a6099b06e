import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from gifqa.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.limits import MediaLimits
from gifqa.media import load_media
from gifqa.url_policy import fetch_url, is_public_address, resolve_host

GIF = b"GIF89a" + bytes(64)
LIMITS = MediaLimits(max_bytes=1000, url_timeout_seconds=0.4)


BODIES = {
    "/": (GIF,),
    "/cat.gif": (GIF,),
    "/large-declared": (GIF, {"Content-Length": "5000000"}),
    "/large-streamed": (b"G" * 5000, {"Content-Length": None}),
}


class Handler(BaseHTTPRequestHandler):
    """One path for each way in which a server may answer."""

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        path = self.path.split("?")[0]
        if path in BODIES:
            self.answer(200, *BODIES[path])
        elif path == "/drip":
            self.drip(b"HTTP/1.0 200 OK\r\n\r\n" + GIF)
        elif path == "/drip-headers":
            self.drip(b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 100)
        elif path == "/silent":
            time.sleep(0.8)
        elif path == "/hang-up":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\nGIF")
        elif path == "/nonsense":
            self.wfile.write(b"This is no HTTP at all\r\n\r\n")
        elif path.startswith("/hops/"):
            left = int(path.rsplit("/", 1)[1])
            self.answer(302, b"", {"Location": f"/hops/{left - 1}" if left else "/cat.gif"})
        elif path == "/to":
            self.answer(302, b"", {"Location": self.path.split("?", 1)[1]})
        else:
            self.answer(404, b"not here")

    def answer(self, status, body, headers=()):
        fields = {"Content-Length": str(len(body)), "Content-Type": "text/html", **dict(headers)}
        self.send_response(status)
        for name, value in fields.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, data):
        """A byte every 50 ms: no single wait is long."""
        for position in range(len(data)):
            self.wfile.write(data[position : position + 1])
            time.sleep(0.05)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        requests = []  # noqa: RUF012

        def handle_error(self, request, client_address):
            """The client hangs up on purpose."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture
def fetch(server):
    """Fetches from the test's server under the name cat.example, as if 127.0.0.1 alone were public."""
    names = {
        "cat.example": ["127.0.0.1"],
        "inside.example": ["10.0.0.5"],
        "both.example": ["127.0.0.1", "10.0.0.5"],
    }

    def run(path, limits=LIMITS, host="cat.example", resolve=None):
        server.requests.clear()
        return fetch_url(
            f"http://{host}:{server.server_port}{path}",
            limits,
            resolve=resolve or (lambda name, port: names.get(name, [name])),
            is_allowed=lambda address: str(address) == "127.0.0.1",
        )

    return run


def test_gives_the_body_and_a_name(fetch):
    assert fetch("/cat.gif") == (GIF, "cat.gif")
    assert fetch("/") == (GIF, "cat.example")


def test_sends_the_name_of_the_host_and_asks_for_no_compression(fetch, server):
    fetch("/cat.gif?size=1")
    path, headers = server.requests[0]
    assert path == "/cat.gif?size=1"
    assert headers["Host"] == f"cat.example:{server.server_port}"
    assert headers["Accept-Encoding"] == "identity"


def test_follows_redirects_up_to_the_limit(fetch):
    assert fetch("/hops/2") == (GIF, "cat.gif")
    with pytest.raises(UnreadableMedia, match=r"one redirect more than the 3 allowed\. .*--max-redirects"):
        fetch("/hops/3")
    with pytest.raises(UnreadableMedia, match="the 0 allowed"):
        fetch("/hops/0", MediaLimits(max_redirects=0))


def test_page_that_is_no_media(server, monkeypatch, fetch):
    monkeypatch.setattr("gifqa.url_policy.fetch_url", lambda url, limits: (b"<html>", "cat.gif"))
    with pytest.raises(UnsupportedMedia, match=r"cat\.gif is a web page; gifqa reads GIF"):
        load_media("http://cat.example/cat.gif")


def test_status(fetch):
    with pytest.raises(
        UnreadableMedia, match=r"cat\.example:\d+/no\.gif answers with HTTP status 404; check the URL"
    ):
        fetch("/no.gif")


@pytest.mark.parametrize("path", ["/large-declared", "/large-streamed"])
def test_too_large(fetch, path):
    with pytest.raises(MediaTooLarge, match=r"is larger than .* MB, the limit.*--max-megabytes"):
        fetch(path)


@pytest.mark.parametrize("path", ["/silent", "/drip", "/drip-headers"])
def test_slow(fetch, path):
    started = time.monotonic()
    with pytest.raises(MediaTooLarge, match=r"takes more than 0\.4 seconds to fetch, .*--max-url-seconds"):
        fetch(path)
    assert time.monotonic() - started < 0.7


def test_slow_name_server(fetch):
    def resolve(host, port):
        time.sleep(0.8)
        return ["127.0.0.1"]

    with pytest.raises(MediaTooLarge, match="--max-url-seconds"):
        fetch("/cat.gif", resolve=resolve)


@pytest.mark.parametrize("path", ["/hang-up", "/nonsense"])
def test_broken_answers(fetch, path):
    with pytest.raises(UnreadableMedia, match=r"cannot be fetched \(.*\); check URL and network"):
        fetch(path)


def test_nobody_listens(fetch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnreadableMedia, match="cannot be fetched"):
        fetch_url(f"http://127.0.0.1:{port}/", LIMITS, is_allowed=lambda address: True)


def test_unknown_host(fetch):
    def resolve(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(UnreadableMedia, match=r"cannot be fetched \(.*Name or service not known"):
        fetch("/cat.gif", resolve=resolve)


class TestPrivateAddresses:
    def test_are_refused(self, fetch, server):
        with pytest.raises(
            UnreadableMedia, match=r"leads to 10\.0\.0\.5, which is not a public address.*give the file"
        ):
            fetch("/cat.gif", host="inside.example")

    def test_one_private_address_among_others_is_enough(self, fetch, server):
        """A name server may answer with a public and a private address and hope for the second."""
        with pytest.raises(UnreadableMedia, match=r"10\.0\.0\.5, which is not a public"):
            fetch("/cat.gif", host="both.example")
        assert not server.requests

    @pytest.mark.parametrize("host", ["inside.example", "10.0.0.5", "[::1]", "[::ffff:10.0.0.5]"])
    def test_redirect_to_one(self, fetch, host):
        with pytest.raises(UnreadableMedia, match="is not a public address"):
            fetch(f"/to?http://{host}/secret")

    def test_the_checked_address_is_the_one_connected_to(self, fetch, server):
        """DNS rebinding: a second look-up would answer with a private address."""
        answers = iter([["127.0.0.1"], ["10.0.0.5"]])
        fetch("/cat.gif", resolve=lambda host, port: next(answers))
        assert next(answers) == ["10.0.0.5"]

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:{}/cat.gif", "http://localhost:{}/cat.gif", "http://2130706433:{}/"]
    )
    def test_by_default_this_machine_is_private(self, server, url):
        """Also in its other spellings; nothing that `load_media` takes can change it."""
        server.requests.clear()
        with pytest.raises(UnreadableMedia, match=r"(127\.0\.0\.1|::1), which is not a public address"):
            load_media(url.format(server.server_port))
        assert not server.requests

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "ftp://cat.example/cat.gif", "data:image/gif,GIF89a"]
    )
    def test_redirect_to_another_scheme(self, fetch, location):
        with pytest.raises(UnsupportedMedia, match="is no http"):
            fetch(f"/to?{location}")

    def test_no_proxy_from_the_environment(self, fetch, monkeypatch):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert fetch("/cat.gif")[0] == GIF


PRIVATE = """
0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.2.1
192.168.1.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::10.0.0.1 64:ff9b::7f00:1
64:ff9b:1::1 2002:7f00:1:: 2002:0a00:0001::1 2001:0:4136:e378:8000:63bf:f5ff:fffe
2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:192.168.0.1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0
fec0::1 ff02::1 2001:db8::1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_that_are_not_public(address):
    assert not is_public_address(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "2002:0808:0808::1", "64:ff9b::8.8.8.8"],
)
def test_addresses_that_are_public(address):
    assert is_public_address(ip_address(address))


def test_resolver_gives_each_address_once():
    assert resolve_host("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize("url", ["http://", "http:///cat.gif", "http://[::1", "https://x:99999/"])
def test_urls_that_are_none(url):
    with pytest.raises((UnreadableMedia, UnsupportedMedia), match=r"is no (valid URL|http)"):
        fetch_url(url, LIMITS, is_allowed=lambda address: False)


def test_secrets_in_a_url_are_not_shown(fetch):
    with pytest.raises(UnreadableMedia) as caught:
        fetch("/no.gif?token=secret", host="user:password@cat.example")
    assert "secret" not in str(caught.value)
    assert "password" not in str(caught.value)


def test_certificate_is_asked_for_by_name(monkeypatch, fetch, server):
    """The connection goes to an address, the certificate must still be the host's."""
    import httpcore

    asked = []

    def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        asked.append(server_hostname)
        self.close()
        raise httpcore.ConnectError("no TLS here")

    monkeypatch.setattr("httpcore._backends.sync.SyncStream.start_tls", start_tls)
    with pytest.raises(UnreadableMedia, match="no TLS here"):
        fetch_url(
            f"https://cat.example:{server.server_port}/",
            LIMITS,
            resolve=lambda host, port: ["127.0.0.1"],
            is_allowed=lambda address: True,
        )
    assert asked == ["cat.example"]
