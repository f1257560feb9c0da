"""The state of the desk between two pages: the files that were dropped, the job as it is being described, the jobs run.

It lives in this process's memory. `clear` and the end of the process remove the records; results stay, sealed.
"""

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import msgspec

from cji_attestation import Trust
from cji_client.connection import Connection, connect
from cji_client.desk.outlook import Outlook, outlook
from cji_client.desk.review import Review
from cji_client.desk.running import Results, Run, new_name
from cji_client.desk.saved import SavedJobs
from cji_client.desk.tables import FoundColumn, Table
from cji_client.desk.tasks import RECORDS, SAVED, Task, task_named, task_of
from cji_client.errors import ClientError, LimitExceeded, SpecError
from cji_client.files import INPUT_SUFFIXES
from cji_client.files.memory import MemoryFiles
from cji_client.prepared import Prepared
from cji_client.profile import ClientProfile
from cji_client.profile_keys import decrypter_named, signer_named
from cji_client.signers import Decrypter, Signer
from cji_client.spec import JobSpec, load_spec
from cji_core.format.keys import new_project_key, save_project_key

MOST_FILES: Final = 8
MOST_BYTES: Final = 2 << 30
"""Of all files together: they are in this machine's memory."""
MOST_RUNS: Final = 64
_NAME: Final = 120
ASKED: Final = ("purpose_code", "reason", "case_number", "requestor", "operator_id")
"""Fields of a job that the clerk fills in; all others are the profile's."""


@dataclass(kw_only=True)
class Draft:
    """The job as it is being described."""

    roles: dict[int, int] = field(default_factory=dict)
    """By place among the files of the task, the number of a file."""
    fields: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    """To the questions of the task, by field."""
    chosen: Task | None = None
    """The task, or a saved job as one."""
    saved: dict[str, Any] = field(default_factory=dict)
    """Fields that a saved job states."""


class Keys:
    """The keys of the profile; those in encrypted files after their passphrase was given."""

    def __init__(self, profile: ClientProfile) -> None:
        self._profile = profile
        self.signer: Signer | None = None
        self.decrypter: Decrypter | None = None
        self.locked: SpecError | None = None
        self.unlock(None)

    def unlock(self, passphrase: bytes | None) -> None:
        """Load them; `locked` has the reason if they cannot be used yet."""
        source = None if passphrase is None else (lambda _: passphrase)
        try:
            self.signer = signer_named(self._profile, source)
            self.decrypter = decrypter_named(self._profile, source)
        except SpecError as error:
            self.locked = error
            return
        self.locked = None

    def opener(self) -> Decrypter:
        """The key that opens results; SpecError if the profile names none."""
        if self.decrypter is None:
            raise SpecError("no key on this computer opens results", remedy="Ask for a profile with a recipient_key.")
        return self.decrypter


class Desk:
    """All of it. One thread at a time changes it: that of the server, or the one for which it waits."""

    def __init__(self, profile: ClientProfile, trust: Trust, folder: Path, scratch: Path) -> None:
        """`folder` is the user's, for results and saved jobs; `scratch` is new, and goes away with the desk."""
        self.profile, self.trust, self.folder = profile, trust, folder
        self.keys = Keys(profile)
        for name in ("results", "jobs", "opened", "labels"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.memory = MemoryFiles(scratch, on_disk=True)
        self.results = Results(folder=folder / "results", profile=profile, trust=trust, key=self.keys.opener)
        self.saved = SavedJobs(folder / "jobs", profile.job)
        self.tables, self.draft = list[Table](), Draft()
        self.prepared: Prepared | None = None
        self.checked = ""
        """Which job was prepared: the page that shows it sends this back, so that no other one runs from it."""
        self._review: tuple[str, Review] | None = None
        self.runs = dict[str, Run]()

    def new_file(self, given: str) -> tuple[Table, BinaryIO]:
        """A new file and what writes it; `keep` it, or `forget` it. SpecError for a name that cannot be read."""
        if len(self.tables) >= MOST_FILES:
            raise LimitExceeded(
                f"there are {MOST_FILES} files already",
                limit="files",
                found=None,
                most=MOST_FILES,
                remedy="Remove one.",
            )
        name = file_name(given)
        if Path(name).suffix.lower() not in INPUT_SUFFIXES:
            raise SpecError(
                f"{name} is not a kind of file that can be read",
                remedy=f"Drop one of these kinds: {' '.join(INPUT_SUFFIXES)}.",
            )
        path, file = self.memory.new(name)
        return Table(path=path, name=name), file

    @property
    def room(self) -> int:
        """Bytes that can still be dropped."""
        return MOST_BYTES - sum(table.path.stat().st_size for table in self.tables)

    def keep(self, table: Table) -> None:
        """The file is whole: look at it."""
        table.refresh()
        self.tables.append(table)
        self.prepared = None

    def forget(self, table: Table) -> None:
        """Remove a file, and the job that was made of it. SpecError while a job runs, which may be reading it."""
        if self.is_busy and table in self.tables:
            raise SpecError("a job is running, which may need this file", remedy="Wait for its end, or cancel it.")
        self.memory.remove(table.path)
        if table in self.tables:
            self.tables.remove(table)
        self.draft.roles, self.prepared = {}, None

    def connect(self) -> Connection:
        """A connection with the keys."""
        return connect(self.profile, trusts=[self.trust], signer=self.keys.signer, decrypter=self.keys.decrypter)

    def table_of(self, role: str) -> Table:
        """The file in a role: the one that was chosen, else the next one."""
        task = self.draft.chosen
        place = 0 if task is None else list(task.files).index(role)
        at = self.draft.roles.get(place, place)
        if not 0 <= at < len(self.tables):
            words = "the records" if task is None else task.files[role].lower()
            raise SpecError(f"a file is missing: {words}", remedy="Drop it on the page Files.")
        return self.tables[at]

    def choose(self, key: str) -> Task:
        """Take a task, or a saved job with what it states about files; SpecError if there is none of this key."""
        chosen = task_named(key)
        if self.draft.chosen is None or self.draft.chosen.key != key:
            self.draft.answers = {}
        self.draft.saved, self.prepared = {}, None
        try:
            if chosen is None:
                name = key.removeprefix(SAVED)
                spec = self.saved.load(name)
                self.draft.chosen = chosen = task_of(name, spec)
                for role, given in {RECORDS: spec.input, **spec.sides}.items():
                    self.table_of(role).apply(given)
                self.draft.saved = self.saved.fields(name)
            self.draft.chosen = chosen
            self._take_kinds(chosen)
        except SpecError:
            self.draft.chosen, self.draft.saved = None, {}
            raise
        return chosen

    def _take_kinds(self, task: Task) -> None:
        """Read the files as the kinds of records that the task takes; SpecError for a file of another kind."""
        records = self.table_of(RECORDS)
        records.read_as(sorted(task.accepts))
        for role in task.files:
            if role != RECORDS:
                self.table_of(role).read_as([task.schema_of(role, records.schema)])

    @property
    def columns(self) -> list[FoundColumn]:
        """The columns of the records that are sent."""
        return [each for each in self.table_of(RECORDS).columns if each.target]

    def answer(self, form: Mapping[str, str]) -> None:
        """Take the answers to the questions of the task; SpecError for one that cannot be, or that fits no other."""
        task, columns = self.task, [each.target for each in self.columns]
        self.draft.answers = {each.field: each.read(form, columns) for each in task.questions}
        self.prepared = None
        task.operations(self.draft.answers, columns)

    @property
    def task(self) -> Task:
        """The chosen one; SpecError if there is none."""
        if self.draft.chosen is None:
            raise SpecError("no task is chosen", remedy="Choose one on the page Task.")
        return self.draft.chosen

    def specified(self) -> tuple[JobSpec, dict[str, Path]]:
        """The job as described, and the files of its side tables; SpecError names what is missing."""
        task, records = self.task, self.table_of(RECORDS)
        operations = task.operations(self.draft.answers, [each.target for each in self.columns])
        given: dict[str, Any] = {name: text for name, text in self.draft.fields.items() if text}
        sides = {role: self.table_of(role) for role in task.files if role != RECORDS}
        if len({id(table) for table in (records, *sides.values())}) <= len(sides):
            raise SpecError("one file has two roles", remedy="Choose another file for one of them on the page Task.")
        for table in (records, *sides.values()):
            table.settled()
        fields = {
            **{name: value for name, value in self.profile.job.items() if name not in self.draft.fields},
            **{name: value for name, value in self.draft.saved.items() if name not in ASKED},
            **given,
            "input": _builtins(records.spec()),
            "sides": {role: _builtins(table.spec()) for role, table in sides.items()},
            "operations": [self._keyed(_builtins(each)) for each in operations],
        }
        return load_spec(None, defaults=fields), {role: table.path for role, table in sides.items()}

    def _keyed(self, operation: dict[str, Any]) -> dict[str, Any]:
        """An operation with the file of its project's key, which is made for a new project."""
        project = operation.get("project")
        if project is None or self.task.saved:
            return operation
        folder = self.folder / "projects"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{quote(project, safe='')}.json"
        if not path.exists():
            save_project_key(new_project_key(project), path)
        return operation | {"project_key": str(path)}

    def prepare(self) -> Prepared:
        """Read all records as `cji job run` does; SpecError for anything that a worker would refuse."""
        spec, sides = self.specified()
        with self.connect() as worker:
            self.prepared = worker.prepare(self.table_of(RECORDS).path, spec, sides=dict(sides))
        self.checked = secrets.token_hex(8)
        return self.prepared

    def run(self, checked: str) -> Run:
        """Start the job that was prepared, if it is the one that was `checked`."""
        task, prepared = self.draft.chosen, self.prepared
        if task is None or prepared is None or checked != self.checked:
            raise SpecError("the job was changed after this page showed it", remedy="Check it again.")
        if len(self.runs) >= MOST_RUNS:
            raise LimitExceeded("too many jobs", limit="jobs", found=None, most=MOST_RUNS, remedy="Restart the desk.")
        name = new_name(task.title, self._is_taken)
        run = Run(name=name, title=task.title, folder=self.folder / "results" / name, prepared=prepared)
        self.results.inputs[name] = prepared.inputs
        self.runs[name] = run
        self.prepared = None
        run.start(self.connect)
        return run

    def _is_taken(self, name: str) -> bool:
        """Whether a result has or had the name: what was opened or decided of one that is gone is not another's."""
        paths = ("results", name), ("opened", name), ("labels", f"{name}.csv")
        return name in self.runs or any(self.folder.joinpath(*each).exists() for each in paths)

    def saved_tasks(self) -> list[Task]:
        """Saved jobs as tasks; one that does not fit the profile is left out."""
        found = list[Task]()
        for name in self.saved.names():
            with contextlib.suppress(SpecError):
                found.append(task_of(name, self.saved.load(name)))
        return found

    def save(self, name: str) -> Path:
        """Save the job as described."""
        spec, _ = self.specified()
        task = self.draft.chosen
        roles = () if task is None else [role for role in task.files if role != RECORDS]
        return self.saved.save(name, spec, {role: self.table_of(role).name for role in roles})

    def outlook(self, prepared: Prepared) -> Outlook:
        """The worker's description of itself, compared with this job."""
        try:
            with self.connect() as worker:
                known = worker.describe()
        except ClientError as error:
            return Outlook(missing=f"The worker at {self.profile.target} does not answer now: {error}")
        return outlook(prepared, self.profile, known)

    def review(self, name: str) -> Review:
        """The review of a result, which is read once."""
        if self._review is None or self._review[0] != name:
            self._review = name, self.results.review(name, self.folder / "labels" / f"{name}.csv")
        return self._review[1]

    def opened(self, name: str) -> dict[str, Path]:
        """Folders of the opened result of this name, by form."""
        found = {each.name: each for each in (self.folder / "opened" / name).glob("*") if each.is_dir()}
        return {form: folder for form, folder in sorted(found.items()) if not form.startswith(".")}

    def open(self, name: str, form: str, *, suffix: str) -> None:
        """Open a result into the folder of a form."""
        below = self.folder / "opened" / name
        below.mkdir(mode=0o700, exist_ok=True)
        self.results.open(name, below / form, suffix=suffix)

    @property
    def is_busy(self) -> bool:
        """Whether a job is running."""
        return any(not run.ended for run in self.runs.values())

    def clear(self) -> None:
        """Remove the records, and end what runs."""
        for run in self.runs.values():
            run.stop.cancel()
        self.tables.clear()
        self.prepared = self._review = None
        self.results.inputs.clear()
        self.memory.close()


def file_name(given: str) -> str:
    """The last part of a name that a browser sent, of printable characters, for people and messages."""
    last = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else "_" for c in last).strip(". ")
    stem, dot, suffix = shown.rpartition(".")
    return f"{stem[: _NAME - len(suffix) - 1]}.{suffix}" if dot and len(suffix) < 10 else shown[:_NAME]


def _builtins(of: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(of, enc_hook=str)
    return {name: value for name, value in found.items() if value is not None}
