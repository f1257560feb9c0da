"""Files on the desk: names, memory, what is suggested and what is asked."""

import stat
import tomllib
from pathlib import Path

import msgspec
import openpyxl
import pytest

from cji_client.desk.names import likely_schema, suggest
from cji_client.desk.saved import SavedJobs
from cji_client.desk.state import file_name
from cji_client.desk.tables import Table
from cji_client.errors import SpecError
from cji_client.files.memory import MemoryFiles
from cji_client.spec import VERBATIM, InputSpec, load_spec
from cji_core.format.keys import new_recipient_key
from cji_core.jose import public_jwk
from tests.support.job_specs import head
from tests.support.paths import ROOT


def table(folder: Path, name: str, data: bytes) -> Table:
    (folder / name).write_bytes(data)
    found = Table(path=folder / name, name=name)
    found.refresh()
    return found


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("people.csv", "people.csv"),
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\fakepath\\people.csv", "people.csv"),
        ("/..", ""),
        ("a\r\nb\0.csv", "a__b_.csv"),
        (".hidden.csv", "hidden.csv"),
        ("n" * 300 + ".csv", "n" * 116 + ".csv"),
    ],
)
def test_a_dropped_file_keeps_its_last_name_alone(given: str, name: str) -> None:
    assert file_name(given) == name


def test_files_in_memory_open_by_name_and_go(tmp_path: Path) -> None:
    with MemoryFiles(tmp_path) as files:
        path, file = files.new("people.csv")
        file.write(b"canary")
        assert path.name == "people.csv"
        assert path.read_bytes() == path.read_bytes() == b"canary"
        assert path.is_symlink()  # into this process: nothing of it is on a disk
        files.remove(path)
        assert not path.exists()
        other, _ = files.new("people.csv")
    assert not other.exists()
    assert list(tmp_path.iterdir()) == []


def test_columns_are_suggested_by_their_names() -> None:
    found = suggest(["Last Name", "FIRST_NAME", "Date of Birth", "SSN", "Surname", "Remarks"], "person/1")
    assert found == {
        "Last Name": "last", "FIRST_NAME": "first", "Date of Birth": "DOB", "SSN": "SOC", "Surname": "", "Remarks": "",
    }  # fmt: skip
    assert suggest(["surname", "last"], "person/1") == {"surname": "", "last": "last"}
    assert likely_schema(["Record", "Narrative"], ("person/1", "narrative/1")) == "narrative/1"
    assert likely_schema(["nothing"], ("person/1", "narrative/1")) == "person/1"


def test_dates_that_the_file_decides_are_found(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", b"last,dob\nDoe,02/14/1982\nRoe,12/31/1990\n")
    (dates,) = [each for each in found.columns if each.target == "DOB"]
    assert (dates.found, dates.undecided, found.ready) == ("MM/DD/YYYY", False, True)


def test_dates_that_can_be_read_twice_are_asked(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", b"last,dob\nDoe,02/03/1982\nRoe,12/11/1990\n")
    assert [each.name for each in found.undecided] == ["dob"]
    assert not found.ready
    found.correct({"date-1": "YY"})
    assert found.undecided
    found.correct({"date-1": "DD/MM/YYYY"})
    assert found.ready
    assert found.spec().date_format == {"DOB": "DD/MM/YYYY"}
    found.correct({"date-1": VERBATIM})
    assert found.spec().date_format == {"DOB": VERBATIM}
    found.correct({"target-1": ""})
    assert found.spec().drop == ("dob",)


def test_the_spelling_of_older_text_is_shown(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", "last;first\nMuñoz;José\n".encode("windows-1252"))
    assert found.lines["windows-1252"] == ["Muñoz;José"]
    assert found.lines["cp850"] != ["Muñoz;José"]
    assert found.columns[0].samples == ("Muñoz",)
    found.correct({"encoding": "utf-7"})
    assert (found.guessed, found.ready) == (True, False)  # what is suggested is not chosen
    found.correct({"encoding": "windows-1252"})
    assert found.ready
    found.correct({"encoding": "cp850"})
    assert found.columns[0].samples != ("Muñoz",)
    found.correct({"encoding": "utf-7"})
    assert found.encoding == "cp850"
    assert table(tmp_path, "b.csv", "last\nMuñoz\n".encode()).lines == {}


def test_one_sheet_of_several_is_asked(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name in ("Notes", "People"):
        book.create_sheet(name).append(["last", "first"])
    book.save(tmp_path / "a.xlsx")
    found = Table(path=tmp_path / "a.xlsx", name="a.xlsx")
    found.refresh()
    assert found.sheet == "Notes"
    with pytest.raises(SpecError, match=r"choices about a\.xlsx are still open"):
        found.settled()
    found.correct({"sheet": "People"})
    found.settled()


def test_a_saved_job_leaves_no_column_out(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", b"last,Number\nDoe,123456789\n")
    with pytest.raises(SpecError, match=r"a\.csv has no column SSN No, which the saved job sends"):
        found.apply(InputSpec(schema="person/1", rename={"SSN No": "SOC"}))


def test_a_saved_job_reads_utf_8_as_it_is(tmp_path: Path) -> None:
    given = InputSpec(schema="person/1", encoding="windows-1252")
    found = table(tmp_path, "a.csv", "last\nMuñoz\n".encode())
    found.apply(given)
    assert found.columns[0].samples == ("Muñoz",)
    older = table(tmp_path, "b.csv", "last\nMuñoz\n".encode("windows-1252"))
    older.apply(given)
    assert (older.columns[0].samples, older.ready) == (("Muñoz",), True)


def test_what_a_saved_job_leaves_open_stays_chosen(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", b"last,dob\nDoe,02/03/1982\nRoe,12/11/1990\n")
    given = InputSpec(schema="person/1", rename={"dob": "DOB"})
    found.apply(given)
    assert not found.ready
    found.correct({"date-1": "DD/MM/YYYY"})
    found.apply(given)
    assert (found.columns[1].date_format, found.ready) == ("DD/MM/YYYY", True)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    found = table(tmp_path, "a.csv", b"PK\x03\x04")
    assert found.problem is not None
    assert not found.ready
    twice = table(tmp_path, "b.csv", b"last,first\nDoe,Jane\n")
    twice.correct({"target-1": "last"})
    assert (twice.twice, twice.ready) == ({"last"}, False)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*/job.toml")), ids=lambda path: path.parent.name)
def test_a_saved_job_says_what_it_said_before(tmp_path: Path, example: Path) -> None:
    recipient = public_jwk(new_recipient_key().public_key())
    defaults = tomllib.loads(head(recipient=recipient, kek_thumbprint="A" * 43))
    spec = load_spec(example, defaults=defaults)
    jobs = SavedJobs(tmp_path, defaults)
    path = jobs.save("Every month: a job", spec, {role: f"{role}.csv" for role in spec.sides})
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == ("Every month a job.toml", 0o600)
    sides = {role: msgspec.structs.replace(side, file=tmp_path / f"{role}.csv") for role, side in spec.sides.items()}
    assert jobs.load("Every month a job") == msgspec.structs.replace(spec, sides=sides)
    assert "audience" not in path.read_text()  # of the profile
    with pytest.raises(SpecError, match="exists"):
        jobs.save("Every month a job", spec, dict.fromkeys(spec.sides, "x.csv"))


@pytest.mark.parametrize("name", ["", "..", "/", "\n"])
def test_a_saved_job_needs_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="needs a name"):
        SavedJobs(tmp_path, {}).save(name, None, {})  # type: ignore[arg-type]  # it is refused before
