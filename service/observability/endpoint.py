"""`/metrics` on a port of its own: for a process without an API, or to keep the numbers apart from it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service.database import Database
from service.observability.census import CensusCollector
from service.observability.metrics import MEDIA_TYPE

PATH = "/metrics"
SECONDS = 10.0


@contextmanager
def serve_metrics(listener: socket.socket, database: Database) -> Iterator[None]:
    """Answers on `listener`, which is bound, until the block ends."""
    census = CensusCollector(database)

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS  # a client that says nothing holds a thread for no longer

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, f"there is only {PATH}")
                return
            content = database.telemetry.metrics.render(census)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass  # a line per scrape on stderr helps nobody

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.daemon_threads = True
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
