"""`--json`: every verb has it or a reason, prints what it declares, and refuses by an object."""

import json
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AttestationError, Fault
from cji_attestation.errors import invalid
from cji_client.errors import ColumnTypeError, LimitExceeded, SpecError, Unreachable, Unverified, WorkerRefused
from cji_core.command import build
from cji_core.command.common import Failure, explained
from cji_core.command.json_output import UndeclaredOutput, answers, json_option, print_document, print_json
from cji_core.command.manual import Manual
from cji_core.command.refusals import Command, Refused, refused
from cji_core.errors import REASONS, Reason, Refusal, Stage, StartupError
from tests.support.json_answers import answered, refusal
from tools import json_answers
from tools.json_answers import ELSEWHERE, WITHOUT, verbs

VERBS = verbs()


class Told(msgspec.Struct):
    word: str


class Other(msgspec.Struct):
    word: str


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_has_json_or_a_reason(words: str) -> None:
    options = {name for one in VERBS[words].params for name in one.opts}
    assert ("--json" in options) is (words not in WITHOUT)
    assert (json_option(VERBS[words]) is not None) is (words not in {**WITHOUT, **ELSEWHERE})


def test_the_lists_name_verbs() -> None:
    assert {*WITHOUT, *ELSEWHERE} <= {*VERBS}
    assert not {*WITHOUT} & {*ELSEWHERE}
    docs = Path(json_answers.__file__).parents[1] / "docs"
    assert all((docs / page).is_file() for page in ELSEWHERE.values())


def test_every_struct_has_a_name_and_every_member_a_description() -> None:
    kinds = {option.answer for command in VERBS.values() if (option := json_option(command)) is not None}
    assert len({kind.__name__ for kind in kinds}) == len(kinds)
    schema = json.loads(json_answers.schema())
    assert {words for words, command in VERBS.items() if json_option(command)} == {*schema["verbs"]}
    for one in (*schema["verbs"].values(), schema["refusal"]):
        reference = one.get("items", one)
        assert reference["$ref"].removeprefix("#/$defs/") in schema["$defs"]
    for name, component in schema["$defs"].items():
        for member, described in component.get("properties", {}).items():
            assert described["description"], f"{name}.{member}"


@answers(Told)
@click.command()
@click.argument("kind", type=click.Choice(["told", "other"]))
def saying(kind: str, *, as_json: bool) -> None:
    assert as_json
    print_json((Told if kind == "told" else Other)(word="yes"))


def test_a_verb_prints_what_it_declares_and_nothing_else() -> None:
    assert answered(CliRunner().invoke(saying, ["told", "--json"]), Told) == Told(word="yes")
    wrong = CliRunner().invoke(saying, ["other", "--json"])
    assert isinstance(wrong.exception, TypeError)
    assert not wrong.stdout


@pytest.mark.parametrize(
    ("document", "printed"),
    [
        ([{"word": "\u009b2J"}], True),
        ([], True),
        ({"word": "a"}, False),
        ([{"word": 1}], False),
        ([{}], False),
        ([{"word": "a", "more": 1}], False),
    ],
)
def test_a_document_has_exactly_the_members(document: object, *, printed: bool) -> None:
    @answers(Told, listed=True)
    @click.command()
    def listing(*, as_json: bool) -> None:
        assert as_json
        print_document(document, indent=2)

    done = CliRunner().invoke(listing, ["--json"])
    assert isinstance(done.exception, UndeclaredOutput) is not printed
    assert done.stdout == (f"{json.dumps(document, indent=2)}\n" if printed else "")


def test_no_verb_fails_for_members_after_its_work_is_done() -> None:
    @answers(Told)
    @click.command()
    def telling(*, as_json: bool) -> None:
        assert as_json
        print_document({"word": None})

    with pytest.warns(UndeclaredOutput, match="word"):
        done = CliRunner().invoke(telling, ["--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"word": None})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["job", "run", "--json"], "Missing argument"),
        (["--json"], "No such option"),
        (["nothing", "--json"], "No such command"),
        (["man", "--json", "--volume"], "No such option"),
        (["doctor", "--json", "--config", "/absent"], "does not exist"),
    ],
)
def test_the_command_line_is_refused_by_an_object(arguments: list[str], words: str) -> None:
    found = refusal(CliRunner().invoke(build(), arguments))
    assert (found.reason, found.status) == ("UNUSABLE", 2)
    assert words in found.message
    assert "--help` explains" in found.remedy


def test_without_json_a_refusal_is_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = CliRunner().invoke(build(), ["man", str(tmp_path / "file" / "x")])
    assert told.stderr.startswith("Error: ")
    found = refusal(CliRunner().invoke(build(), ["man", str(tmp_path / "file" / "x"), "--json"]))
    assert told.stderr == f"Error: {found.message}\n{found.remedy}\n"


def test_the_manual_in_json(tmp_path: Path) -> None:
    done = answered(CliRunner().invoke(build(), ["man", str(tmp_path), "--json"]), Manual)
    assert done == Manual(folder=str(tmp_path), pages=len([*tmp_path.iterdir()]))


def _attestation() -> AttestationError:
    return AttestationError(Fault.RELEASE_DENIED, check="K03")


def _worker_refused() -> WorkerRefused:
    return WorkerRefused(Reason.OVERLOADED, stage=Stage.ADMIT, correlation_id="c1", retryable=True, retry_after=None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            Refusal(Reason.INTERNAL, stage=Stage.START),
            Refused(
                reason="INTERNAL",
                message="INTERNAL at start",
                remedy=REASONS[Reason.INTERNAL].remedy,
                status=1,
                stage="start",
            ),
        ),
        (
            StartupError("No vTPM", "Use a confidential VM."),
            Refused(reason="REFUSED", message="No vTPM", remedy="Use a confidential VM.", status=1),
        ),
        (
            _attestation(),
            Refused(
                reason="RELEASE_DENIED",
                message="RELEASE_DENIED at K03",
                remedy=_attestation().remedy,
                status=1,
                check="K03",
            ),
        ),
        (
            _worker_refused(),
            Refused(
                reason="OVERLOADED",
                message="OVERLOADED at admit (correlation id c1)",
                remedy=_worker_refused().remedy,
                status=4,
                stage="admit",
                correlation_id="c1",
            ),
        ),
        (
            ColumnTypeError("dob has dates", column="dob", found="date", wanted="string", remedy="Cast it."),
            Refused(reason="UNUSABLE", message="dob has dates", remedy="Cast it.", status=2, columns=("dob",)),
        ),
        (
            LimitExceeded("too many", limit="rows", found=2, most=1, remedy="Split it."),
            Refused(reason="UNUSABLE", message="too many", remedy="Split it.", status=2, limit="rows"),
        ),
        (
            Unverified("rows_out", "differs"),
            Refused(
                reason="UNVERIFIED",
                message="rows_out: differs",
                remedy=Unverified("", "").remedy,
                status=3,
                check="rows_out",
            ),
        ),
        (
            Unreachable("gone", remedy="Try again."),
            Refused(reason="UNAVAILABLE", message="gone", remedy="Try again.", status=4),
        ),
        (SpecError("no", remedy=""), Refused(reason="UNUSABLE", message="no", remedy="", status=2)),
    ],
)
def test_a_refusal_has_the_particulars_of_its_cause(error: Exception, expected: Refused) -> None:
    @explained
    def fail() -> None:
        raise error

    with pytest.raises(Failure) as failed:
        fail()
    assert refused(failed.value) == expected


def test_a_failure_of_a_verb_has_the_fault_that_caused_it() -> None:
    failure = Failure("the list is not AMD's", remedy="", status=3)
    failure.__cause__ = invalid("E33")
    found = refused(failure)
    assert (found.reason, found.check, found.status) == ("EVIDENCE_INVALID", "E33", 3)
    assert found.remedy == invalid("E33").remedy
    failure.__cause__ = UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal not in range")
    assert refused(failure).reason == "UNVERIFIED"


def test_a_prompt_that_nobody_answers(tmp_path: Path) -> None:
    done = CliRunner().invoke(build(), ["key", "new-signing", str(tmp_path / "k"), "--passphrase", "--json"], input="")
    assert refusal(done).message == "aborted at a prompt"
    assert not done.stdout


def test_an_error_that_nobody_expected_stays_one() -> None:
    @click.command()
    @click.option("--json", is_flag=True)
    def broken(*, json: bool) -> None:
        raise RuntimeError(str(json))

    group = Command("x", verbs={})
    group.get_command = lambda *_: broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        CliRunner().invoke(group, ["broken", "--json"], catch_exceptions=False)
