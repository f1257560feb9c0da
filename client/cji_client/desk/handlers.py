"""The answers to requests: each reads a form, acts on the desk, and shows a page or leads to the next one.

What reads files or opens results runs in a thread; one request at a time changes the desk.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import BodyPartReader, web

from cji_client.desk import asking, pages
from cji_client.desk.outlook import Outlook
from cji_client.desk.running import Failure, Run
from cji_client.desk.shell import ICON, SCRIPT, SHEET, page, problem
from cji_client.desk.state import ASKED, MOST_FILES, Desk
from cji_client.desk.tables import Table
from cji_client.desk.tasks import Task
from cji_client.errors import ClientError, LimitExceeded, SpecError
from cji_client.prepared import Prepared
from cji_core.errors import CjiError
from cji_core.page.markup import Part

T = TypeVar("T")

_BLOCK: Final = 1 << 18
FORMS: Final = {"xlsx": ".xlsx", "csv": ".csv"}
"""Forms of opened results, and suffixes of their files."""
_OWN_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Of a report. Its own policy holds as well, and is stricter: the digest of its stylesheet, and no script."""


_CHANGED: Final = "another page changed the job meanwhile"


class Handlers:
    """The pages and acts of one desk below the path `at`."""

    def __init__(self, desk: Desk, at: str, leave: Callable[[], None]) -> None:
        """`leave` ends the server."""
        self.desk, self.at, self._leave = desk, at, leave
        self._turn = asyncio.Lock()
        self._failures = dict[str, Failure]()
        """By page, the error that its next view shows."""

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        own = [
            *(web.get(f"/{name}", each) for name, each in self._static()),
            web.get("/", self.home),
            web.post("/unlock", self.unlock),
            web.get("/files", self.files),
            web.post("/files", self.add_files),
            web.post(r"/files/{n:\d+}", self.change_file),
            web.post(r"/files/{n:\d+}/remove", self.remove_file),
            web.get("/task", self.task),
            web.post("/task", self.choose_task),
            web.get("/questions", self.questions),
            web.post("/questions", self.answer),
            web.get("/check", self.check),
            web.post("/save", self.save),
            web.post("/run", self.run),
            web.get("/runs/{name}", self.show_run),
            web.get("/runs/{name}/progress", self.progress),
            web.post("/runs/{name}/cancel", self.cancel),
            web.get("/results", self.results),
            web.get("/results/{name}", self.result),
            web.get("/results/{name}/report", self.report),
            web.get("/results/{name}/receipt", self.receipt),
            web.get("/results/{name}/review", self.review),
            web.post("/results/{name}/review", self.decide),
            web.post("/results/{name}/open", self.open),
            web.get("/results/{name}/opened/{form}/{file}", self.opened),
            web.post("/quit", self.quit),
        ]
        return [web.RouteDef(each.method, f"{self.at}{each.path}", each.handler, each.kwargs) for each in own]

    # -------------------------------------------------------------- help for the handlers

    def shown(self, title: str, content: Iterable[Part], **options: Any) -> web.Response:
        """A page."""
        return web.Response(text=page(self.at, title, content, **options), content_type="text/html")

    def to(self, path: str) -> web.Response:
        """Lead to a page of the desk."""
        return web.Response(status=303, headers={"Location": f"{self.at}/{path}"})

    def failed(self, path: str, error: CjiError) -> web.Response:
        """Lead to a page that shows the error."""
        self._failures[path] = Failure.of(error)
        return self.to(path)

    def failure(self, path: str) -> Failure | None:
        """The error to show on this page, once."""
        return self._failures.pop(path, None)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A block in which no other request changes the desk."""
        async with self._turn:
            yield

    async def apart(self, call: Callable[[], T]) -> T:
        """In a thread, in a turn of its own."""
        async with self.turn():
            return await asyncio.to_thread(call)

    # -------------------------------------------------------------- the start

    def _static(self) -> "list[tuple[str, Callable[[web.Request], Any]]]":
        def of(text: str, kind: str) -> Callable[[web.Request], Any]:
            async def send(_: web.Request) -> web.Response:
                return web.Response(text=text, content_type=kind)

            return send

        sheets = (("desk.css", SHEET, "text/css"), ("desk.js", SCRIPT, "text/javascript"))
        return [(name, of(text, kind)) for name, text, kind in (*sheets, ("icon.svg", ICON, "image/svg+xml"))]

    async def home(self, _: web.Request) -> web.Response:
        """The first page, or the one for the passphrase."""
        failure = self.failure("")
        if self.desk.keys.locked is not None:
            return self.shown("Unlock the desk", pages.locked(self.at, failure))
        return self.shown("CJI desk", pages.home(self.desk, self.at))

    async def unlock(self, request: web.Request) -> web.Response:
        """Load the keys."""
        given = str((await request.post()).get("passphrase", "")).encode()
        await self.apart(lambda: self.desk.keys.unlock(given))
        locked = self.desk.keys.locked
        return self.to("") if locked is None else self.failed("", locked)

    async def quit(self, _: web.Request) -> web.Response:
        """Remove the records and end the desk."""
        self._leave()
        words = "The desk now removes the records from this computer's memory, and ends. You can close this page."
        return self.shown("The desk is closed", pages.closing(words))

    # -------------------------------------------------------------- files

    async def files(self, _: web.Request) -> web.Response:
        """The files and their columns."""
        return self.shown("Your files", pages.files(self.desk, self.at, self.failure("files")), step="files")

    async def add_files(self, request: web.Request) -> web.Response:
        """Take dropped files into memory."""
        async with self.turn():
            try:
                async for part in await request.multipart():
                    if isinstance(part, BodyPartReader) and part.name == "file" and part.filename:
                        await self._take(part, part.filename)
            except CjiError as error:
                return self.failed("files", error)
            except ValueError:
                return self.failed("files", SpecError("the browser sent no files", remedy="Choose them again."))
        return self.to("files")

    async def _take(self, part: BodyPartReader, name: str) -> None:
        table, file = self.desk.new_file(name)
        left = self.desk.room
        try:
            while block := await part.read_chunk(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise LimitExceeded(
                        f"{table.name} is too large for this page", limit="bytes", found=None, most=self.desk.room,
                        remedy="Use `cji job run`, which reads files of any size where they are.",
                    )  # fmt: skip
                if file.write(block) != len(block):
                    raise SpecError(f"there is no room for {table.name}", remedy="Remove another file.")
            await asyncio.to_thread(self.desk.keep, table)
        except BaseException:
            self.desk.forget(table)
            raise

    def _table(self, request: web.Request) -> Table:
        found = [each for each in self.desk.tables if each.number == request.match_info["n"]]
        if not found:
            raise web.HTTPNotFound
        return found[0]

    async def change_file(self, request: web.Request) -> web.Response:
        """Take the clerk's corrections of one file."""
        table, n, given = self._table(request), request.match_info["n"], await request.post()
        choices = {name.removesuffix(f"-{n}"): str(text) for name, text in given.items()}

        def change() -> None:
            self.desk.prepared = None
            table.correct(choices)

        await self.apart(change)
        return self.to("files")

    async def remove_file(self, request: web.Request) -> web.Response:
        """Remove one file."""
        table = self._table(request)
        try:
            await self.apart(lambda: self.desk.forget(table))
        except ClientError as error:
            return self.failed("files", error)
        return self.to("files")

    # -------------------------------------------------------------- task, check, run

    async def task(self, _: web.Request) -> web.Response:
        """The list of tasks."""
        return self.shown("The task", asking.tasks(self.desk, self.at, self.failure("task")), step="task")

    async def choose_task(self, request: web.Request) -> web.Response:
        """Take task, files and reasons."""
        given, draft = await request.post(), self.desk.draft
        roles = {n: str(given.get(f"role-{n}", "")) for n in range(MOST_FILES)}

        def choose() -> Task:
            draft.fields = {name: str(given.get(name, "")).strip() for name in ASKED}
            draft.roles = {n: int(text) for n, text in roles.items() if text.isdecimal() and len(text) < 4}
            return self.desk.choose(str(given.get("task", "")))

        try:
            chosen = await self.apart(choose)
        except ClientError as error:
            return self.failed("task", error)
        return self.to("questions" if chosen.questions else "check")

    async def questions(self, _: web.Request) -> web.Response:
        """The questions of the task."""
        task = self.desk.draft.chosen
        if task is None or not task.questions:
            return self.to("task")
        try:
            content = [*asking.questions(self.desk, task, self.at, self.failure("questions"))]
        except ClientError as error:
            return self.failed("task", error)
        return self.shown(task.title, content, step="task")

    async def answer(self, request: web.Request) -> web.Response:
        """Take the answers."""
        given = {name: str(text) for name, text in (await request.post()).items()}
        try:
            await self.apart(lambda: self.desk.answer(given))
        except ClientError as error:
            return self.failed("questions", error)
        return self.to("check")

    async def check(self, _: web.Request) -> web.Response:
        """Read everything, and show what will happen."""
        desk, task = self.desk, self.desk.draft.chosen
        if task is None:
            return self.to("task")

        def read() -> Prepared:
            if desk.draft.chosen is not task:
                raise SpecError(_CHANGED, remedy="Choose the task again.")
            return desk.prepare() if desk.prepared is None else desk.prepared

        def show(prepared: Prepared, ahead: Outlook) -> list[Part]:
            if desk.prepared is not prepared:
                raise SpecError(_CHANGED, remedy="Choose the task again.")
            return [*asking.check(desk, task, prepared, self.at, ahead)]

        try:
            prepared = await self.apart(read)
            ahead = await asyncio.to_thread(desk.outlook, prepared)  # in no turn: the worker may take its time
            content = await self.apart(lambda: show(prepared, ahead))
        except ClientError as error:
            return self.failed("questions" if task.questions else "task", error)
        if failure := self.failure("check"):
            content.insert(0, problem(failure))
        return self.shown("What will happen", content, step="check")

    async def save(self, request: web.Request) -> web.Response:
        """Save the job without its records."""
        name = str((await request.post()).get("name", ""))
        try:
            path = await self.apart(lambda: self.desk.save(name))
        except ClientError as error:
            return self.failed("check", error)
        return self.shown("The job is saved", asking.saved(path, self.at), step="check")

    async def run(self, request: web.Request) -> web.Response:
        """Start the job that was checked."""
        checked = str((await request.post()).get("checked", ""))
        try:
            run = await self.apart(lambda: self.desk.run(checked))
        except ClientError as error:
            return self.failed("task", error)
        return self.to(f"runs/{run.name}")

    def _run(self, request: web.Request) -> Run:
        run = self.desk.runs.get(request.match_info["name"])
        if run is None:
            raise web.HTTPNotFound
        return run

    async def show_run(self, request: web.Request) -> web.Response:
        """A job on its way; its result, once it is there."""
        run = self._run(request)
        if not run.ended:
            return self.shown(run.title, pages.running(run, self.at), step="results", reload=2)
        if run.failure is None:
            return self.to(f"results/{run.name}")
        return self.shown(run.title, pages.ended(run, self.at), step="results")

    async def progress(self, request: web.Request) -> web.Response:
        """The step of a job, for the script of its page."""
        run = self._run(request)
        return web.json_response({"step": run.step, "per_cent": run.per_cent, "ended": run.ended})

    async def cancel(self, request: web.Request) -> web.Response:
        """End a job."""
        run = self._run(request)
        run.stop.cancel()
        return self.to(f"runs/{run.name}")

    # -------------------------------------------------------------- results

    async def results(self, _: web.Request) -> web.Response:
        """All results."""
        return self.shown("Results", pages.results(self.desk, self.at), step="results")

    def named(self, request: web.Request) -> str:
        """The name of a result in the address; 404 for another."""
        name = request.match_info["name"]
        if name not in self.desk.results.names():
            raise web.HTTPNotFound
        return name

    async def result(self, request: web.Request) -> web.Response:
        """One result, verified now."""
        name = self.named(request)
        return self.shown(name, await self.apart(lambda: self._result(name)), step="results")

    def _result(self, name: str) -> list[Part]:
        failure, desk = self.failure(f"results/{name}"), self.desk
        try:
            with desk.results.verified(name) as found:
                notes = desk.runs[name].notes if name in desk.runs else ()
                shown = pages.result(
                    name, found, self.at, notes=notes, openable=desk.keys.decrypter is not None,
                    opened=desk.opened(name),
                )  # fmt: skip
                return [*([] if failure is None else [problem(failure)]), *shown]
        except CjiError as error:
            return [problem(Failure.of(error))]

    async def report(self, request: web.Request) -> web.Response:
        """The report, as `cji job run` writes it."""
        name = self.named(request)
        try:
            text = await self.apart(lambda: self.desk.results.page(name))
        except CjiError as error:
            return self.failed(f"results/{name}", error)
        if text is None:
            none = SpecError("this task has no report", remedy="Open the result as Excel.")
            return self.failed(f"results/{name}", none)
        return _page_of_its_own(text)

    async def receipt(self, request: web.Request) -> web.Response:
        """The page of the receipt."""
        name = self.named(request)
        try:
            return _page_of_its_own(await self.apart(lambda: self.desk.results.receipt(name)))
        except CjiError as error:
            return self.failed(f"results/{name}", error)

    async def review(self, request: web.Request) -> web.Response:
        """The pair that the address names, else the next one without a verdict."""
        name, asked = self.named(request), request.query.get("pair", "")[:6]
        try:
            found = await self.apart(lambda: self.desk.review(name))
        except CjiError as error:
            return self.failed(f"results/{name}", error)
        n = int(asked) if asked.isdecimal() and int(asked) < len(found.pairs) else found.next()
        failure = self.failure(f"results/{name}/review")
        return self.shown("Is this one person?", pages.review(name, found, n, self.at, failure), step="results")

    async def decide(self, request: web.Request) -> web.Response:
        """Save a decision, and lead to the next pair."""
        name, given = self.named(request), await request.post()
        pair, verdict = str(given.get("pair", ""))[:6], str(given.get("verdict", ""))
        by = self.desk.draft.fields.get("operator_id") or str(self.desk.profile.job.get("operator_id", ""))
        n = int(pair) if pair.isdecimal() else -1
        try:
            found = await self.apart(lambda: self.desk.review(name))
            await self.apart(lambda: found.decide(n, verdict, by=by))
        except CjiError as error:
            return self.failed(f"results/{name}/review", error)
        following = found.next(n)
        return self.to(f"results/{name}/review" + ("" if following is None else f"?pair={following}"))

    async def open(self, request: web.Request) -> web.Response:
        """Write the opened result into a folder."""
        name, form = self.named(request), str((await request.post()).get("form", ""))
        if form not in FORMS:
            raise web.HTTPBadRequest
        try:
            await self.apart(lambda: self.desk.open(name, form, suffix=FORMS[form]))
        except CjiError as error:
            return self.failed(f"results/{name}", error)
        return self.to(f"results/{name}")

    async def opened(self, request: web.Request) -> web.StreamResponse:
        """A file of an opened result."""
        name, form, file = self.named(request), request.match_info["form"], request.match_info["file"]
        folder = self.desk.opened(name).get(form)
        names = () if folder is None else {each.name for each in folder.iterdir()}
        if folder is None or file not in names:
            raise web.HTTPNotFound
        return web.FileResponse(Path(folder) / file, headers={"Content-Disposition": f'attachment; filename="{file}"'})


def _page_of_its_own(text: str) -> web.Response:
    """A page of `cji_core.page.markup.page`."""
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _OWN_POLICY})
