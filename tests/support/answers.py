"""A real HTTP server on loopback that answers what a test tells it, and remembers what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answers:
    """By path without query: headers and body. All have one status, save the first ones, whose statuses are `first`.

    `asked` has (method, path with query, body).
    """

    answers: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)
    status: int = 200
    first: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    base: str = ""

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]


@contextmanager
def serving(state: Answers) -> Iterator[Answers]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked.append((self.command, self.path, body))
            headers, answer = state.answers[self.path.partition("?")[0]]
            self.send_response(state.first.pop(0) if state.first else state.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
