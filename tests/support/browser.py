"""Headless Chromium over a pipe: loads one page, reports what it printed and requested, measures and pictures it."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "--disable-features=Translate,MediaRouter", "--proxy-server=127.0.0.1:9",
)  # fmt: skip


@dataclass(kw_only=True)
class Browser:
    """One tab; `messages` are what the console and the page's policies printed."""

    sent: int
    received: int
    session: str | None = None
    messages: list[str] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""
    _loaded: bool = False
    _urls: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> list[str]:
        """URLs that the page requested, without those that its own policy stopped."""
        return [*self._urls.values()]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the DevTools protocol."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self.session is not None:
            command["sessionId"] = self.session
        os.write(self.sent, json.dumps(command).encode() + b"\0")
        while (message := self._next()).get("id") != self._number:
            self._note(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def open(self, page: Path | str, *, width: int = 1100, dark: bool = False, media: str = "screen") -> None:
        """Load a file, or the URL of a server on loopback, in a window of this width, and wait until it is laid out."""
        self._urls.clear()
        self.messages.clear()
        self.lay_out(width=width, dark=dark, media=media)
        self._loaded = False
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not self._loaded:
            self._note(self._next())

    def lay_out(self, *, width: int, dark: bool = False, media: str = "screen") -> None:
        """Give the window another width, and the system another colour scheme, without loading the page again."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, or what the promise that it makes is fulfilled with."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it prints."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self.received, 1 << 20)
            assert data, "Chromium has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self._urls[parameters["requestId"]] = parameters["request"]["url"]
            case "Network.loadingFailed" if parameters.get("blockedReason") == "csp":
                self._urls.pop(parameters["requestId"], None)
            case "Runtime.consoleAPICalled":
                self.messages.append(str(parameters["args"]))
            case "Runtime.exceptionThrown":
                self.messages.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.messages.append(parameters["entry"]["text"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a new profile in this folder."""
    program = shutil.which("chromium")
    assert program is not None, "the tests need the package chromium; run tools/setup"
    commands, sent = os.pipe()
    received, answers = os.pipe()
    command = " ".join(
        ("exec", program, *FLAGS, f"--user-data-dir={profile}", "about:blank", f"3<&{commands} 4>&{answers}")
    )
    process = subprocess.Popen(
        ["bash", "-c", command], pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )  # fmt: skip
    os.close(commands)
    os.close(answers)
    try:
        found = Browser(sent=sent, received=received)
        (tab, *_) = [each for each in found.call("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        found.session = found.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            found.call(f"{domain}.enable")
        yield found
    finally:
        os.close(sent)
        os.close(received)
        process.terminate()
        process.wait(60)
