"""A server of GIFs that behaves as servers do, and a way to fetch from it as if this machine were public."""

import threading
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def bodies(raw_gif, raw_frame):
    """Path -> what the server gives there."""
    moving = raw_gif([raw_frame(0), raw_frame(1), raw_frame(2)])
    return {
        "/cat.gif": moving,
        "/2/cat.gif": raw_gif([raw_frame(3), raw_frame(4)]),
        "/dog.gif": raw_gif([raw_frame(5), raw_frame(6)]),
        "/still.gif": raw_gif([raw_frame(0)]),
        "/photo.gif": b"\xff\xd8\xff" + bytes(100),
        "/page.gif": b"<!doctype html><p>This GIF is gone.",
        "/cut.gif": moving[:-40],
        "/torn.gif": raw_gif([raw_frame(0)], trailer=b"")[:-3],
        "/empty.gif": b"",
        "/film.gif": b"\0\0\0\x18ftypmp42" + bytes(100),
        "/large.gif": raw_gif([raw_frame(0, (200, 200))] * 12),
    }


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is nothing to print."""


class Handler(BaseHTTPRequestHandler):
    """Gives the bodies; the first part of other paths names one of the methods below."""

    def do_GET(self):
        site = self.server.site
        site.asked[self.path] += 1
        site.seen.append((time.monotonic(), self.path))
        kind, _, name = self.path.removeprefix("/").partition("/")
        if self.path in site.bodies:
            self.answer(200, site.bodies[self.path])
        elif kind in ("busy", "wait", "down", "loop", "inside", "slow", "short"):
            getattr(self, kind)(name.removesuffix(".gif"))
        else:
            self.answer(404, b"not here")

    def busy(self, name):
        """/busy/2-cat.gif: twice too busy, then a GIF."""
        if self.server.site.asked[self.path] > int(name.split("-")[0]):
            self.answer(200, self.server.site.bodies["/cat.gif"])
        else:
            self.answer(429, b"", {"Retry-After": "0"})

    def wait(self, name):
        self.answer(503, b"", {"Retry-After": name})

    def down(self, name):
        self.answer(500, b"")

    def loop(self, name):
        self.answer(302, b"", {"Location": self.path})

    def inside(self, name):
        self.answer(302, b"", {"Location": "http://10.0.0.5/cat.gif"})

    def slow(self, name):
        time.sleep(2)

    def short(self, name):
        self.answer(200, self.server.site.bodies["/cat.gif"], {"Content-Length": "3900"})

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Site:
    """The server: how often each path was asked for, and how to reach it."""

    def __init__(self, port, bodies):
        self.port, self.bodies, self.asked, self.seen = port, bodies, Counter(), []

    def url(self, path, host="cat.example"):
        return f"http://{host}:{self.port}{path}"

    @property
    def fetch(self):
        """Every host but 10.0.0.5 is this server, and it is public."""
        from gifqa.url_policy import fetch_url

        def resolve(host, port):
            if host == "gone.example":
                raise OSError("Name or service not known")
            return ["10.0.0.5" if host == "10.0.0.5" else "127.0.0.1"]

        return partial(fetch_url, resolve=resolve, is_allowed=lambda address: str(address) == "127.0.0.1")


@pytest.fixture
def site(bodies, monkeypatch):
    """A running `Site`; what it refuses is tried again at once."""
    monkeypatch.setattr("gifqa.data.host_queue.FIRST_WAIT_SECONDS", 0.001)
    with Server(("127.0.0.1", 0), Handler) as http:
        http.site = found = Site(http.server_port, bodies)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        http.shutdown()
        thread.join()
