"""A bucket on the loopback: moto's server, behind a proxy that can be told to misbehave."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.server import ThreadedMotoServer

_BLOCK_BYTES = 8192


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = host, port
        self.failing: dict[str, int] = {}
        """How often to answer 500 to a GET of what ends so."""
        self.failed = 0
        self.pause_s = 0.0
        """Between blocks."""

    def fails(self, method: str, path: str) -> bool:
        """Whether this request is to fail."""
        for end, times in self.failing.items():
            if method == "GET" and times and path.partition("?")[0].endswith(end):
                self.failing[end] -= 1
                self.failed += 1
                return True
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.fails(self.command, self.path):
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        there = http.client.HTTPConnection(*self.server.behind)
        there.request(self.command, self.path, body, dict(self.headers.items()))
        answer = there.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        for at in range(0, len(content), _BLOCK_BYTES):
            time.sleep(self.server.pause_s)
            self.wfile.write(content[at : at + _BLOCK_BYTES])
        there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def bucket_server() -> Iterator[Proxy]:
    """Serve buckets that are empty."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    proxy = Proxy(host, port)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        moto.stop()
