"""The list of tasks in words, one row each.

A row names an operation, its files, and what is asked about the operation's parameters.

Which records a task takes, and what an answer may be, is read from the operation's declaration. A parameter without a
question has its default, or the value that is `fixed` in the row. Other parameters, and other operations, come with a
saved job.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cji_client.desk import shapes
from cji_client.desk.questions import TODAY, Control, Question
from cji_client.errors import SpecError
from cji_client.spec import JobSpec
from cji_core.documents import convert
from cji_core.operations.aggregate import SIDE as VERDICTS
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.clear import SHIPPED, Clear
from cji_core.operations.declaration import Signature
from cji_core.operations.deidentify.declaration import Deidentify
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link.outputs import SIDE as LINK_TO
from cji_core.operations.match_orders import ORDERS, MatchOrders
from cji_core.operations.match_orders import PERSONS as INDEX
from cji_core.operations.parameters import Parameters
from cji_core.operations.redact import Redaction
from cji_core.operations.registry import AnyParameters, operation_of
from cji_core.operations.screen import SIDE as REFERENCE
from cji_core.operations.screen import Screen
from cji_core.operations.standardize import Standardize
from cji_core.operations.validate import NCIC

RECORDS: Final = "records"
"""The role of the file whose rows are the job's."""
Shape = Callable[[Mapping[str, Any], Sequence[str]], list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One entry of the list. `files` are the roles of its files, each with its label; the records are the first.

    `shape` makes the operations of the answers, where they are not the parameters of `operation` as they are. `example`
    answers those questions about columns that need one.
    """

    key: str
    title: str
    sentence: str
    operation: str
    files: Mapping[str, str] = field(default_factory=lambda: {RECORDS: "The file"})
    fixed: Mapping[str, Any] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    shape: Shape | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    more: str = ""
    """The settings of a saved job that the form does not offer."""
    saved: tuple[Parameters, ...] = ()
    """All operations of a saved job."""

    def operations(self, answers: Mapping[str, Any], columns: Sequence[str]) -> tuple[Parameters, ...]:
        """With their parameters, for records with these columns; SpecError for answers that do not go together."""
        if self.saved:
            return self.saved
        given = {each.field: each.current(columns, answers) for each in self.questions}
        return self._made({**given, **self.fixed}, columns)

    def _made(self, given: Mapping[str, Any], columns: Sequence[str]) -> tuple[Parameters, ...]:
        shaped = [{"kind": self.operation, **given}] if self.shape is None else self.shape(given, columns)
        try:
            return tuple(convert(each, AnyParameters, dec_hook=lambda kind, text: kind(text)) for each in shaped)
        except ValueError as error:
            raise SpecError(f"these answers do not go together: {error}", remedy="Change one of them.") from None

    @cached_property
    def _signatures(self) -> tuple[Signature, ...]:
        made = self.operations(self.example, tuple(name for answer in self.example.values() for name in answer))
        return tuple(operation_of(each).signature(each) for each in made)

    @property
    def accepts(self) -> frozenset[str]:
        """Schemas of its records."""
        return self._signatures[0].accepts

    def schema_of(self, role: str, records: str) -> str:
        """The schema of a side table, for records of this one."""
        sides = {side.name: side.schema for each in self._signatures for side in each.sides}
        return sides.get(role) or records

    def fits(self, schema: str, columns: Sequence[str]) -> bool:
        """Whether it is for records of this schema with these columns."""
        about = [each for each in self.questions if each.choices is not None and each.control is not Control.COLUMN]
        return schema in self.accepts and all(each.asked(columns) for each in about)


_HISTORY: Final = "The criminal histories"
_LINK_MORE: Final = "The weights of columns, the score from which on a pair counts, and columns that may never differ."
_FORM_MORE: Final = "The other forms of the summary system, single months, and the hiding of small numbers."
_FORM: Final = {"preset": "srs_return_a"}

TASKS: Final = (
    Task(
        key="link-two",
        title="Find the same people in two files",
        sentence="Compares names, birth dates and numbers, and lists which record of one file is the person of which "
        "record of the other. Pairs in between are for you to decide.",
        operation="link",
        files={RECORDS: "One file", LINK_TO: "The other file"},
        more=_LINK_MORE,
    ),
    Task(
        key="link-one",
        title="Find people who are in one file more than once",
        sentence="Puts the records of each person together, and lists pairs that you should look at.",
        operation="link",
        more=_LINK_MORE,
    ),
    Task(
        key="screen",
        title="Which of these people are on this list?",
        sentence="Looks for each person of the first file in the list, by the search rules of NCIC, and rates "
        "each hit. A hit is a lead, not an identification.",
        operation="screen",
        files={RECORDS: "The people to check", REFERENCE: "The list"},
        questions=(
            Question(
                of=Screen,
                field="max_hits",
                label="Hits to list for each person",
                hint="The best ones. The number of all is counted.",
            ),
            Question(
                of=Screen,
                field="include_restricted",
                label="Search records of restricted files too",
                hint="Such as gangs and protection orders. They may be searched for criminal justice only.",
            ),
            Question(
                of=Screen,
                field="status_only",
                label="Say only whether there is a hit",
                hint="Nothing of the list's records is in the result then.",
            ),
        ),
        more="Other search rules, and a list that stays with the worker for later jobs.",
    ),
    Task(
        key="validate-columns",
        title="Are these records valid?",
        sentence="Checks each value of people, hot files or histories by the rules of NCIC: codes, dates, numbers and "
        "their order. Nothing is changed.",
        operation="validate",
        fixed={"rule_set": NCIC},
        more="Rules that are switched off, and another day than today.",
    ),
    Task(
        key="validate",
        title="Check a NIBRS submission",
        sentence="Applies the rules of the FBI to every report, and explains each finding.",
        operation="validate",
        more="Rules that are switched off, agencies of your own table, and what the FBI has on file.",
    ),
    Task(
        key="standardize",
        title="Put names and addresses into one form",
        sentence="Writes full names, streets, states, ZIP codes, dates and offense codes in one way. A value that "
        "cannot be read stays as it is, and is listed.",
        operation="standardize",
        questions=(
            Question(
                of=Standardize,
                field="columns",
                label="What to do with each column",
                words={
                    "name": "Split into last, first, middle and suffix",
                    "address": "One form of street addresses",
                    "state": "Codes of states",
                    "zip": "One form of ZIP codes",
                    "date": "One form of dates",
                    "offense": "One form of offense codes",
                    "": "Leave as it is",
                },
                choices=shapes.forms,
            ),
        ),
        shape=shapes.standardized,
        example={"columns": {"state": "state"}},
        more="Your agency's own table of offense codes.",
    ),
    Task(
        key="deidentify",
        title="Replace names and numbers by tokens",
        sentence="For a study, or a file to share: names and numbers become tokens, dates and places become coarser. "
        "The same value has the same token, so that records still belong together.",
        operation="deidentify",
        questions=(
            Question(
                of=Deidentify,
                field="columns",
                label="What to do with each column",
                words=shapes.TREATMENTS,
                choices=shapes.treatments,
            ),
            Question(
                of=Deidentify,
                field="project",
                label="Project",
                hint="A word for this study or recipient. Tokens of one project can be compared with each other, and "
                "with those of no other. Its key is made on this computer, in CJI desk/projects.",
            ),
        ),
        shape=shapes.deidentified,
        example={"columns": {"SEX": shapes.KEEP}},
        more="Groups of at least k people, tokens that can be turned back, shifted dates, age bands.",
    ),
    Task(
        key="redact",
        title="Black out names and numbers in reports",
        sentence="Replaces names, dates, numbers and addresses in narratives by marks such as [NAME]. It does not find "
        "everything: read the texts before you give them away.",
        operation="redact",
        questions=(
            Question(of=Redaction, field="columns", label="Columns with text", choices=shapes.texts),
            Question(
                of=Redaction,
                field="classes",
                label="What to black out",
                words={
                    "name": "Names of people",
                    "date": "Dates",
                    "number": "Numbers of persons, licenses and cases",
                    "phone": "Telephone numbers",
                    "address": "Addresses",
                    "plate": "License plates",
                    "email": "E-mail addresses",
                },
            ),
            Question(
                of=Redaction,
                field="marks",
                label="Marks",
                words={"class": "What it was: [NAME]", "row": "Numbered within a text: [NAME-1], [NAME-2]"},
            ),
        ),
        example={"columns": ["narrative"]},
        more="People who are known to be in the texts, words of your own, and marks that join across texts.",
    ),
    Task(
        key="aggregate",
        title="Count records by month and area",
        sentence="Makes a table of counts. Small numbers are hidden, and the rest does not give them away.",
        operation="aggregate",
        questions=(
            Question(
                of=Aggregate,
                field="keys",
                label="What to count by (up to four columns)",
                words=shapes.GROUPINGS,
                choices=shapes.groupings,
            ),
            Question(
                of=Aggregate,
                field="person",
                label="Count people by",
                hint="The column whose number is one person's. Without it every row counts as another person.",
                choices=shapes.persons,
            ),
            Question(
                of=Aggregate,
                field="threshold",
                label="Hide numbers below",
                hint="11 is usual for tables that are published; 1 hides nothing.",
                first=11,
            ),
            Question(of=Aggregate, field="base", label="Round to multiples of", hint="1 rounds nothing."),
        ),
        shape=shapes.grouped,
        example={"keys": {"SEX": shapes.VALUES}},
        more="Sums, lists of categories, hiding of numbers that one person dominates, and differential privacy.",
    ),
    Task(
        key="return-a",
        title="Count a NIBRS submission for Return A, all reports",
        sentence="The FBI's monthly counts of offenses known. Reports that a check would reject are counted too.",
        operation="aggregate",
        fixed={**_FORM, "reports": "all"},
        more=_FORM_MORE,
    ),
    Task(
        key="return-a-accepted",
        title="Count a NIBRS submission for Return A, accepted reports",
        sentence="The FBI's monthly counts of offenses known, of the reports that a check accepted. Check the "
        "submission first: its result, opened as CSV, has the file incidents.csv.",
        operation="aggregate",
        files={RECORDS: "The submission", VERDICTS: "The file incidents.csv of its check"},
        fixed={**_FORM, "reports": "accepted"},
        more=_FORM_MORE,
    ),
    Task(
        key="clear",
        title="Which convictions can be cleared under these rules?",
        sentence="Applies a law's rules to each history, and gives each charge a relief with its reason, or the fact "
        "that is missing. A person decides.",
        operation="clear",
        files={RECORDS: _HISTORY},
        questions=(
            Question(
                of=Clear,
                field="rules",
                label="Rules",
                hint="Examples, which no lawyer has reviewed. Your agency's own table comes with a saved job.",
                words={name: f"{name.replace('_', ', ').capitalize()} (example)" for name in SHIPPED},
                first=SHIPPED[0],
            ),
            Question(
                of=Clear,
                field="as_of",
                label="Day of the decision",
                hint="Ages and years are counted to it.",
                first=TODAY,
            ),
            Question(
                of=Clear,
                field="county",
                label="Only charges of this county",
                hint="As the histories have it. Empty: all of them.",
            ),
        ),
        shape=shapes.cleared,
        more="A table of rules of your own.",
    ),
    Task(
        key="match-orders",
        title="Match court orders with criminal histories",
        sentence="Finds the events that each order to seal or expunge is about, and flags them.",
        operation="match_orders",
        files={RECORDS: _HISTORY, ORDERS: "The court orders", INDEX: "The people"},
        questions=(
            Question(
                of=MatchOrders,
                field="remove",
                label="Take events that are to be expunged out of the result",
                hint="Otherwise they are flagged, and stay.",
            ),
        ),
        more="How certain a match has to be, and a lasting proof of which events an order was about.",
    ),
    Task(
        key="disseminate",
        title="Which records may be given to this recipient?",
        sentence="Keeps the rows and columns that the worker's table allows for purpose and recipient, and writes the "
        "log of what was given. Everything else is withheld.",
        operation="disseminate",
        questions=(
            Question(
                of=Disseminate,
                field="recipient_class",
                label="Recipient",
                words={
                    "criminal_justice": "A criminal justice agency",
                    "non_criminal_justice": "Somebody else: licensing, employment, housing",
                },
                first="criminal_justice",
            ),
            Question(
                of=Disseminate, field="as_of", label="Day", hint="Ages of records are counted to it.", first=TODAY
            ),
        ),
        more="Recipients that the worker's own table has besides, and a second recipient.",
    ),
)

SAVED: Final = "saved:"
"""The beginning of the key of a saved job."""


def task_of(name: str, spec: JobSpec) -> Task:
    """A saved job as a task."""
    sides = {RECORDS: "The records"} | {role: role.replace("_", " ").capitalize() for role in spec.sides}
    operations = [operation_of(each).name for each in spec.operations]
    return Task(
        key=f"{SAVED}{name}",
        title=name,
        sentence=f"Your saved job: {', '.join(operations)}.",
        operation=operations[0],
        files=sides,
        saved=spec.operations,
    )


def task_named(key: str) -> Task | None:
    """The task with this key."""
    return next((each for each in TASKS if each.key == key), None)
