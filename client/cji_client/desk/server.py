"""The server: on loopback, for one browser. Every request passes `access`, every answer gets the same headers.

It ends when the clerk quits, when nobody came in, or when nobody used it for the idle time and no job runs.
"""

import asyncio
import contextlib
import shutil
import socket
import time
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from cji_client.desk.access import COOKIE, IDLE_SECONDS, Access, Asked, Denied
from cji_client.desk.handlers import Handlers
from cji_client.desk.opening import runtime_folder, write_opening
from cji_client.desk.running import Failure
from cji_client.desk.shell import page, problem
from cji_client.desk.state import MOST_BYTES, Desk
from cji_core.page.markup import document, element

HOST: Final = "127.0.0.1"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), clipboard-read=()",
    "Referrer-Policy": "same-origin",  # `no-referrer` would hide the Origin of forms, which is checked
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MOST_FORM_BYTES: Final = 1 << 20
"""Of any request but a drop of files, whose bound is that of the desk."""
MOST_AT_ONCE: Final = 16
_LOOK_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 2.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DeskServer:
    """One start. `run` serves until the end."""

    def __init__(self, desk: Desk, *, clock: Callable[[], float] = time.monotonic, idle_seconds: float = IDLE_SECONDS):
        self.desk, self._clock, self._idle_seconds = desk, clock, idle_seconds
        self._over = asyncio.Event()
        self._serving = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.access: Access | None = None

    def leave(self) -> None:
        """End the server, from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._over.set)

    async def run(self, scratch: Path, opened: Callable[[Path], None]) -> None:
        """Serve; `opened` is called with the file that lets a browser in."""
        self._loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=MOST_FORM_BYTES, middlewares=[self._guard])
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GRACE_SECONDS)
        listening = _listening()
        host = f"{HOST}:{listening.getsockname()[1]}"
        self.access = access = Access(host=host, now=self._clock(), idle_seconds=self._idle_seconds)
        handlers = Handlers(self.desk, access.folder, self._over.set)
        app.add_routes([*handlers.routes(), web.post(access.door, self._let_in)])
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            self._opening = write_opening(scratch, access)
            opened(self._opening)
            await self._until_over(access)
        finally:
            await runner.cleanup()
            self.desk.clear()

    async def _until_over(self, access: Access) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOK_SECONDS)
            if self.desk.is_busy:
                access.keep(self._clock())
            if access.is_over(self._clock()):
                self._over.set()

    async def _let_in(self, request: web.Request) -> web.Response:
        """Exchange the token for the cookie.

        The page then asks for the next one itself: a redirect would be the file's doing, and get no cookie that is
        SameSite=Strict.
        """
        access = self._known()
        cookie = access.redeem(str((await request.post()).get("token", "")), now=self._clock())
        if cookie is None:
            return _denied(Denied.TOKEN)
        self._opening.unlink(missing_ok=True)
        head = (
            element("meta", charset="utf-8"),
            element("meta", http_equiv="refresh", content=f"0;url={access.folder}/"),
            element("title", "CJI desk"),
        )
        answer = web.Response(
            text="".join(document(head, [element("a", "Open the desk", href=f"{access.folder}/")])),
            content_type="text/html",
        )
        answer.set_cookie(COOKIE, cookie, path=f"{access.folder}/", httponly=True, samesite="Strict")
        return answer

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Serve what `access` lets in. Every answer has the headers, and none the text of an unknown error."""
        self._serving += 1
        try:
            answer = await self._answer(request, handler)
        finally:
            self._serving -= 1
        for name, text in HEADERS.items():
            if name not in answer.headers:
                answer.headers[name] = text
        return answer

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        access = self._known()
        asked = Asked(
            method=request.method,
            path=request.rel_url.raw_path,
            host=request.headers.get(hdrs.HOST, ""),
            origin=request.headers.get(hdrs.ORIGIN, ""),
            site=request.headers.get("Sec-Fetch-Site", ""),
            cookie=request.cookies.get(COOKIE, ""),
        )
        if (denied := access.denied(asked, now=self._clock())) is not None:
            return _denied(denied)
        if self._serving > MOST_AT_ONCE:
            return web.Response(status=503, text="The desk is busy.")
        upload = request.path == f"{access.folder}/files" and request.method == "POST"
        if (request.content_length or 0) > (MOST_BYTES + MOST_FORM_BYTES if upload else MOST_FORM_BYTES):
            return _failed(access, 413, Failure(what="This is too large for the desk.", remedy="Drop smaller files."))
        try:
            return await handler(request)
        except web.HTTPException as error:
            words = Failure(what=Denied.PATH.words if error.status == 404 else error.reason, remedy="Go back.")
            return _failed(access, error.status, words)
        except Exception as error:  # noqa: BLE001 - its text may be about records
            return _failed(access, 500, Failure.of(error))

    def _known(self) -> Access:
        assert self.access is not None  # noqa: S101 - `run` has made it
        return self.access


def _listening() -> socket.socket:
    found = socket.create_server((HOST, 0), backlog=MOST_AT_ONCE)
    found.setblocking(False)
    return found


def _denied(denied: Denied) -> web.Response:
    """Without a word about the desk's paths: who is denied may be anybody."""
    head = (element("meta", charset="utf-8"), element("title", "CJI desk"))
    remedy = "Open the desk from its shortcut, or with cji desk."
    body = element("main", element("h1", "Not here"), element("p", denied.words), element("p", remedy))
    return web.Response(status=denied.status, text="".join(document(head, [body])), content_type="text/html")


def _failed(access: Access, status: int, failure: Failure) -> web.Response:
    text = page(access.folder, "This did not work", [problem(failure)])
    return web.Response(status=status, text=text, content_type="text/html")


def serve(desk_of: Callable[[Path], Desk], *, show: Callable[[Path], None]) -> None:
    """Make the desk and serve it; all of its scratch files go away with it."""
    scratch = runtime_folder()
    try:
        asyncio.run(DeskServer(desk_of(scratch)).run(scratch, show))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def show_in_browser(path: Path) -> bool:
    """Open the file with the user's browser."""
    return webbrowser.open(path.as_uri())
