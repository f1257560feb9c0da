"""`python -m tests.support.site_look build/site`: look at every page of a site in a browser and print its faults.

A page is loaded once from a server on loopback and laid out for a desktop and a phone, light and dark. Faults are
content wider than the window that does not scroll in a box of its own, a picture that is missing or too small to be
read, text with a contrast below WCAG 2.2 AA, a message in the console, a request to any other server, and a page of the
operations that is too long for a phone.
Drawings (SVG) are opened by themselves too, see `drawing.js`. The exit status is 1 if there is a fault.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support.browser import Browser, browser

LAYOUTS: Final = ((1280, False), (1280, True), (390, True), (390, False))
"""Width in CSS pixels, and whether the system is dark; the order changes one of them at a time."""
SHORT: Final = "docs/operations"
"""Pages whose names begin so are no higher than MOST_HEIGHT in any layout."""
MOST_HEIGHT: Final = 8_000
_PAGE: Final = Path(__file__).with_name("site_look.js").read_text(encoding="utf-8")
_DRAWING: Final = Path(__file__).with_name("drawing.js").read_text(encoding="utf-8")


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A file; of the search index only its first entry, because every page would index all of them again."""
        if self.path == "/favicon.ico":  # which Chromium requests for a drawing
            self.send_error(204)
        elif self.path == "/search/search_index.json":
            index = json.loads(Path(self.translate_path(self.path)).read_bytes())
            body = json.dumps(index | {"docs": index["docs"][:1]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing: the browser's messages have what fails."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a server of this folder on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def faults(chromium: Browser, base: str, name: str) -> list[str]:
    """The faults of one page or drawing, each with the layout that has it."""
    drawing = name.endswith(".svg")
    expression, layouts = (_DRAWING, LAYOUTS[:2]) if drawing else (_PAGE, LAYOUTS)
    chromium.open(base + name, width=LAYOUTS[0][0])
    found = []
    for width, dark in layouts:
        chromium.lay_out(width=width, dark=dark)
        where = f"{name} at {width} px, {'dark' if dark else 'light'}"
        found += [f"{where}: {fault}" for fault in chromium.evaluate(f"({expression})({width})")]
        height = chromium.evaluate("document.documentElement.scrollHeight")
        if name.startswith(SHORT) and height > MOST_HEIGHT:
            found.append(f"{where}: is {height} px high, of at most {MOST_HEIGHT}")
    found += [f"{name} prints {message!r}" for message in chromium.messages]
    elsewhere = {url for url in chromium.requests if not url.startswith((base, "data:", "blob:"))}
    return found + [f"{name} requests {url}" for url in sorted(elsewhere)]


def look(site: Path, profile: Path) -> list[str]:
    """The faults of all pages and drawings below `site`, with a browser whose profile is that folder."""
    names = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.suffix in (".html", ".svg"))
    with served(site) as base, browser(profile) as chromium:
        return [fault for name in names for fault in faults(chromium, base, name)]


def main() -> int:
    """Look at the site in the folder that the command names."""
    began = time.monotonic()
    with TemporaryDirectory() as profile:
        found = look(Path(sys.argv[1]), Path(profile))
    print(*found, sep="\n", file=sys.stderr)
    print(f"{len(found)} faults, {time.monotonic() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
