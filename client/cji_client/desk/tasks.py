"""The list of tasks in words: operations with parameters that need no rules of one's own.

A task names an operation, which runs with its default parameters; which records it takes is read from the operation's
declaration. Other operations, and parameters of one's own, come with a saved job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cji_client.spec import JobSpec
from cji_core.documents import convert
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import OPERATIONS, AnyParameters, operation_of

RECORDS: Final = "records"
"""The role of the file whose rows are the job's."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One entry of the list. `files` are the roles of its files, each with its label; the records are the first."""

    key: str
    title: str
    sentence: str
    operation: str
    files: Mapping[str, str] = field(default_factory=lambda: {RECORDS: "The file"})
    saved: tuple[Parameters, ...] = ()
    """All operations of a saved job."""

    @property
    def operations(self) -> tuple[Parameters, ...]:
        """With their parameters."""
        return self.saved or (convert({"kind": self.operation}, AnyParameters),)

    @property
    def accepts(self) -> frozenset[str]:
        """Schemas of its records."""
        return OPERATIONS[self.operation].signature(self.operations[0]).accepts


TASKS: Final = tuple(
    Task(**each)
    for each in (
        {
            "key": "link-two",
            "title": "Find the same people in two files",
            "sentence": "Compares names, birth dates and numbers, and lists which record of one file is the person of "
            "which record of the other. Pairs in between are for you to decide.",
            "operation": "link",
            "files": {RECORDS: "One file", "link_to": "The other file"},
        },
        {
            "key": "link-one",
            "title": "Find people who are in one file more than once",
            "sentence": "Puts the records of each person together, and lists pairs that you should look at.",
            "operation": "link",
        },
        {
            "key": "screen",
            "title": "Check people against a list",
            "sentence": "Looks for each record of the first file in the list, by the search rules of NCIC.",
            "operation": "screen",
            "files": {RECORDS: "The people to check", "reference": "The list to check against"},
        },
        {
            "key": "validate",
            "title": "Check a NIBRS submission",
            "sentence": "Applies the rules of the FBI to every report, and explains each finding.",
            "operation": "validate",
        },
        {
            "key": "match-orders",
            "title": "Match court orders with criminal histories",
            "sentence": "Finds the events that each order is about.",
            "operation": "match_orders",
            "files": {RECORDS: "The criminal histories", "orders": "The court orders", "persons": "The people"},
        },
    )
)

SCHEMA_WORDS: Final = {
    "person/1": "People",
    "hotfile/1": "Entries of a hot file (wanted, stolen, protection orders)",
    "chri_event/2": "Events of criminal histories",
    "chri_event/1": "Events of criminal histories (short form)",
    "court_order/1": "Court orders",
    "narrative/1": "Narratives of reports",
    "nibrs.flat/3.1": "A NIBRS submission (flat file)",
    "nibrs.xml/2019.1": "A NIBRS submission (XML)",
}


SAVED: Final = "saved:"
"""The beginning of the key of a saved job."""


def task_of(name: str, spec: JobSpec) -> Task:
    """A saved job as a task."""
    files = {RECORDS: "The records"} | {role: role.replace("_", " ").capitalize() for role in spec.sides}
    operations = [operation_of(each).name for each in spec.operations]
    return Task(
        key=f"{SAVED}{name}",
        title=name,
        sentence=f"Your saved job: {', '.join(operations)}.",
        operation=operations[0],
        files=files,
        saved=spec.operations,
    )


def task_named(key: str) -> Task | None:
    """The task with this key."""
    return next((each for each in TASKS if each.key == key), None)
