"""The desk served in a thread, and a clerk who walks it in a browser by what a page shows."""

import asyncio
import base64
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final

from cji_attestation import Trust
from cji_client.desk.access import IDLE_SECONDS, Access
from cji_client.desk.server import DeskServer
from cji_client.desk.state import Desk
from cji_client.profile import ClientProfile
from tests.support.browser import Browser
from tests.support.paths import ROOT
from tests.support.site_look import LAYOUTS

_AXE: Final = ROOT / ".axe/node_modules/axe-core/axe.min.js"
_VIOLATIONS: Final = """axe.run(document).then(found => found.violations.flatMap(
  rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 120)}`)))"""

__all__ = ["Answer", "Clerk", "Served", "desk_served"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass(kw_only=True)
class Served:
    """A desk that is served; `opening` is the file that lets a browser in."""

    desk: Desk
    opening: Path
    access: Access
    ended: threading.Event

    def ask(self, path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """The answer to one request with exactly these headers, besides Host and the length."""
        address, _, port = self.access.host.partition(":")
        connection = HTTPConnection(address, int(port), timeout=60)
        try:
            given = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, body=body or None, headers=given)
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def enter(self) -> str:
        """Show the token as the file does; the Cookie header from then on."""
        found = re.search(r'name="token" value="([^"]+)"', self.opening.read_text(encoding="utf-8"))
        assert found is not None
        answer = self.ask(
            self.access.door, method="POST", body=f"token={found[1]}".encode(), Origin="null",
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        assert answer.status == 200, answer
        return answer.headers["set-cookie"].partition(";")[0]


def _answer(response: HTTPResponse) -> Answer:
    headers = {name.lower(): text for name, text in response.getheaders()}
    return Answer(status=response.status, headers=headers, text=response.read().decode("utf-8", "replace"))


@contextmanager
def desk_served(
    profile: ClientProfile,
    trust: Trust,
    folder: Path,
    *,
    idle_seconds: float = IDLE_SECONDS,
    clock: Any = time.monotonic,
) -> Iterator[Served]:
    """Serve a desk until the block ends."""
    ready, ended, made = threading.Event(), threading.Event(), list[Path]()
    with tempfile.TemporaryDirectory(prefix="desk-") as scratch:
        desk = Desk(profile, trust, folder, Path(scratch))
        server = DeskServer(desk, clock=clock, idle_seconds=idle_seconds)

        def opened(path: Path) -> None:
            made.append(path)
            ready.set()

        def work() -> None:
            try:
                asyncio.run(server.run(Path(scratch), opened))
            finally:
                ended.set()
                ready.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert ready.wait(60)
        assert server.access is not None
        assert made
        try:
            yield Served(desk=desk, opening=made[0], access=server.access, ended=ended)
        finally:
            server.leave()
            thread.join(60)


@dataclass(kw_only=True)
class Clerk:
    """A person at the browser: reads what a page shows, clicks what is written, types into what is labelled."""

    chromium: Browser
    pictures: Path

    def look(self, name: str) -> list[str]:
        """What is wrong with the page by axe-core, light and dark, and by its layout on a desktop and a phone.

        A picture of each is kept.
        """
        if not self.chromium.evaluate("!!window.axe"):
            self.chromium.evaluate(_AXE.read_text(encoding="utf-8"))
        found = list[str]()
        for width, dark in LAYOUTS:
            self.chromium.lay_out(width=width, dark=dark)
            where = f"{name} at {width} px, {'dark' if dark else 'light'}"
            found += [f"{where}: {each}" for each in self.chromium.evaluate(_VIOLATIONS)]
            if self.chromium.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{where}: wider than the window")
            self.chromium.picture(self.pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png")
        self.chromium.lay_out(width=LAYOUTS[0][0])
        return found

    def see(self, words: str, seconds: float = 60) -> None:
        """Wait until the page shows these words."""
        end = time.monotonic() + seconds
        while words not in (shown := self.page()):
            assert time.monotonic() < end, f"{words!r} is not in:\n{shown}"
            time.sleep(0.1)

    def page(self) -> str:
        """The words of the page; empty while it is loaded."""
        try:
            return str(self.chromium.evaluate("document.body ? document.body.innerText : ''"))
        except AssertionError:  # the page went away under the question
            return ""

    def click(self, words: str) -> None:
        """Click the one button or link that is written like this, and wait for the page behind it."""
        self.leave("button, a", "e => e.innerText.trim()", words, "e.click()")

    def decide_all(self, keys: str) -> list[str]:
        """Decide on every pair by these keys in turn; the verdicts."""
        words, given = {"s": "same", "d": "different", "u": "unsure"}, list[str]()
        while "Nothing is left" not in self.page():
            key = keys[len(given) % len(keys)]
            press = f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true}}))"
            self.leave("main", "e => e.id", "main", press)
            given.append(words[key])
        return given

    def save(self, file: str) -> None:
        """Save the choices of the file whose name begins like this, and wait for the page."""
        self.leave("section.file", f"e => e.innerText.slice(0, {len(file)})", file, "e.querySelector('form').submit()")

    def leave(self, selector: str, name: str, words: str, act: str) -> None:
        """Do something after which the browser has another page."""
        self._do(selector, name, words, f"window.isBefore = true; {act}")
        end = time.monotonic() + 60
        while not self._is_there():
            assert time.monotonic() < end, "no page comes"
            time.sleep(0.05)

    def _is_there(self) -> bool:
        try:
            return bool(self.chromium.evaluate("!window.isBefore && document.readyState === 'complete'"))
        except AssertionError:  # between two pages
            return False

    def choose(self, label: str, value: str) -> None:
        """Choose in the list, or the entry, that is labelled like this; `value` are the words of the option."""
        self._do(
            "select",
            "e => (e.labels[0] || {}).textContent",
            label,
            f"const o = [...e.options].find(o => o.text === {value!r}); if (!o) throw Error([...e.options].map(o => "
            "o.text).join()); e.value = o.value; e.dispatchEvent(new Event('change'))",
        )

    def pick(self, words: str) -> None:
        """Pick the entry of a list of choices that begins with these words."""
        self._do("label.choice", "e => e.querySelector('strong').textContent", words, "e.click()")

    def write(self, label: str, text: str) -> None:
        """Type into the field that is labelled like this."""
        self._do("input", "e => e.labels && e.labels[0] ? e.labels[0].textContent : ''", label, f"e.value = {text!r}")

    def drop(self, files: Sequence[Path]) -> None:
        """Drop files on the page."""
        root = self.chromium.call("DOM.getDocument")["root"]["nodeId"]
        node = self.chromium.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
        self.chromium.call("DOM.setFileInputFiles", files=[str(each) for each in files], nodeId=node)

    def fetched(self, words: str) -> bytes:
        """The file behind the link that is written like this."""
        script = (
            f"(async () => {{ const a = [...document.links].find(a => a.innerText.trim() === {words!r});"
            " const b = new Uint8Array(await (await fetch(a.href)).arrayBuffer());"
            " let s = ''; for (const c of b) s += String.fromCharCode(c); return btoa(s) })()"
        )
        return base64.b64decode(self.chromium.evaluate(script))

    def _do(self, selector: str, name: str, words: str, act: str) -> None:
        self.chromium.evaluate(
            f"(() => {{ const all = [...document.querySelectorAll({selector!r})]; const name = {name};"
            f" const found = all.filter(e => name(e) === {words!r});"
            f" if (found.length !== 1) throw Error({words!r} + ' is there ' + found.length + ' times; there are: ' +"
            " all.map(name).join(' | '));"
            f" const e = found[0]; {act} }})()"
        )
