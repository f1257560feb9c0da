"""`cji link evaluate`: a result beside what people say of a sample; `cji link count`: the pairs of every rule."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_client.errors import SpecError
from cji_client.verbs.link_sample import Sample, read_sample
from cji_core.command import build

RESULT = "record_id,cluster\na,0\nb,0\nc,0\nd,3\ne,4\n"
PAIRS = """left,right,left_id,right_id,weight,probability,match,joined
0,1,a,b,9.0,0.998,true,true
0,2,a,c,4.0,0.941,true,true
1,3,b,d,3.3,0.908,true,false
3,4,d,e,-2.0,0.2,false,false
"""
HEAD = "left,right,verdict,by,at,note\n"
LABELS = f"{HEAD}a,b,same,,,\nc,a,different,,,\nd,b,same,,,\na,e,same,,,\nd,e,different,,,\nb,c,unsure,,,\nb,e,,,,\n"
PERSONS = "record_id,person\na,x\nb,x\nc,y\nd,x\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "linked"
    out.mkdir()
    (out / "result.csv").write_text(RESULT)
    (out / "pairs.csv").write_text(PAIRS)
    return out


def _labels(folder: Path, text: str) -> Path:
    path = folder.parent / "labels.csv"
    path.write_text(text)
    return path


def test_a_sample_of_pairs_is_compared(folder: Path) -> None:
    """In either order of the ids; a labelled pair that is not listed is found at no threshold."""
    sample = read_sample(folder, _labels(folder, LABELS))
    assert (sample.pairs, sample.true) == (5, 3)
    curve = sample.curve()
    at = curve.at(3.0)
    assert (at.found, at.right, at.true) == (3, 2, 3)
    assert (sample.clusters.found, sample.clusters.right, sample.clusters.true) == (2, 1, 3)


def test_a_sample_of_records_is_compared(folder: Path) -> None:
    """All pairs of labelled records count, and none of others."""
    sample = read_sample(folder, _labels(folder, PERSONS))
    assert (sample.pairs, sample.true) == (6, 3)
    at = sample.curve().at(-9.0)
    assert (at.found, at.right) == (3, 2)
    assert (sample.clusters.found, sample.clusters.right) == (3, 1)


def test_pairs_that_are_unsure_or_undecided_count_for_nothing(folder: Path) -> None:
    sample = read_sample(folder, _labels(folder, LABELS))
    assert (sample.unsure, sample.undecided, sample.uncovered) == (1, 1, 0)


def test_rows_are_the_ids_of_records_without_ids(folder: Path) -> None:
    """As in the output `pairs`."""
    (folder / "result.csv").write_text("cluster\n0\n0\n0\n3\n4\n")
    rows = re.sub(r"^(\d,\d),.,.,", r"\1,,,", PAIRS, flags=re.MULTILINE)
    (folder / "pairs.csv").write_text(rows)
    names = str.maketrans("abcde", "01234")
    given = HEAD + LABELS.removeprefix(HEAD).replace("same", "S").replace("different", "D").translate(names)
    given = given.replace("S", "same").replace("D", "different").replace("unsur4", "unsure")
    sample, same = read_sample(folder, _labels(folder, given)), read_sample_of_ids(folder)
    assert sample.weight.tolist() == same.weight.tolist()
    assert (sample.clusters, sample.true) == (same.clusters, same.true)


def read_sample_of_ids(folder: Path) -> Sample:
    (folder / "result.csv").write_text(RESULT)
    (folder / "pairs.csv").write_text(PAIRS)
    return read_sample(folder, _labels(folder, LABELS))


def test_two_linked_tables_may_have_the_same_ids(tmp_path: Path) -> None:
    """The pair (a, b) is not the pair (b, a) there; clusters are known by pairs."""
    folder = tmp_path / "linked"
    folder.mkdir()
    pyarrow.parquet.write_table(
        pa.table({"record_id": [b"a", b"b"], "cluster": pa.array([0, 1], pa.uint64())}), folder / "result.parquet"
    )
    columns = {"left_id": [b"a", b"b"], "right_id": [b"b", b"a"], "weight": [9.0, -3.0], "probability": [0.99, 0.1]}
    rows = {"left": pa.array([0, 1], pa.uint64()), "right": pa.array([0, 1], pa.uint64()), "joined": [True, False]}
    rows["match"] = [True, False]
    pyarrow.parquet.write_table(pa.table(columns | rows), folder / "pairs.parquet")
    sample = read_sample(folder, _labels(folder, f"{HEAD}a,b,same,,,\n"))
    assert sample.weight.tolist() == [9.0]
    assert sample.clusters.right == 1
    with pytest.raises(SpecError, match="two tables"):
        read_sample(folder, _labels(folder, PERSONS))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "neither of pairs nor of records"),
        (HEAD, "decides no pair"),
        (f"{HEAD}a,b,,,,\n", "decides no pair"),
        (f"{HEAD}a,b,maybe,,,\n", "line 2 has a verdict"),
        (f"{HEAD}a,b,same,,,\nb,a,different,,,\n", "line 3 says different"),
        (f"{HEAD}a,a,same,,,\n", "itself"),
        (f"{HEAD}a,b,same,,,\na,z,same,,,\n", "line 3 has a record that is not in the result"),
        ("record_id,person\n", "0 rows"),
        ("record_id,person\na,\n", "no person"),
        ("record_id,person\na,x\na,y\n", "twice"),
        ("record_id,person\na,x\nz,y\n", "not in the result"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(folder: Path, text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        read_sample(folder, _labels(folder, text))


def test_results_that_cannot_be_used_are_refused(folder: Path) -> None:
    (folder / "result.csv").write_text("record_id\na\n")
    with pytest.raises(SpecError, match="no cluster"):
        read_sample(folder, _labels(folder, LABELS))
    (folder / "result.csv").write_text("record_id,cluster\na,0\na,0\n")
    with pytest.raises(SpecError, match=r"twice|two tables"):
        read_sample(folder, _labels(folder, PERSONS))
    (folder / "pairs.csv").unlink()
    with pytest.raises(SpecError, match="has no pairs"):
        read_sample(folder, _labels(folder, LABELS))


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_the_command_prints_tables_and_draws_a_chart(folder: Path, suffix: str) -> None:
    chart = folder.parent / f"chart{suffix}"
    arguments = ["link", "evaluate", str(folder), "--labels", str(_labels(folder, LABELS)), "--chart", str(chart)]
    done = CliRunner().invoke(build(AZURE_US), arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "5 labelled pairs, 3 of one person" in done.output
    assert re.search(r"match 0\.9 +3 +2 +0\.6667 +0\.6667 +0\.6667", done.output)
    assert re.search(r"0\.9 +\d+ +0\.\d{4} +0\.\d{4} +0\.\d{4} +0\.3333", done.output)  # of three found, two are right
    assert re.search(r"clusters +2 +1 +0\.5000 +0\.3333 +0\.4000", done.output)
    text = chart.read_text()
    assert text.count("<path") == 3
    assert ("<!DOCTYPE html>" in text) == (suffix == ".html")
    assert not re.search(r"(href|src)=|url\(|@import", text)  # one file, no network
    again = CliRunner().invoke(build(AZURE_US), arguments)
    assert again.exit_code == 2


PEOPLE = "record_id,last,first,DOB,SEX\n" + "".join(
    f"r{row},{'SMITH' if row % 2 else f'NAME{row}'},F{row % 7},19{60 + row % 30}0101,{'MF'[row % 2]}\n"
    for row in range(60)
)
SPEC = """
[input]
schema = "person/1"

[[operations]]
kind = "link"
pairs = 400

[operations.model]
prior = 0.001
blocking = [
  { keys = [{ column = "last" }] },
  { keys = [{ column = "first" }], most_pairs = 10 },
]

[[operations.model.comparisons]]
name = "surname"
levels = [{ label = "the same", conditions = [{ column = "last" }] }, { label = "different" }]
"""


def test_count_names_the_widest_rule_and_tighter_ones(tmp_path: Path) -> None:
    """Of 60 records, 30 have one surname: 435 pairs."""
    records, spec = tmp_path / "people.csv", tmp_path / "job.toml"
    records.write_text(PEOPLE)
    spec.write_text(SPEC)
    arguments = ["link", "count", str(records), "--spec", str(spec)]
    done = CliRunner().invoke(build(AZURE_US), [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    last, first = found["rules"]
    assert (last["pairs"], last["largest"], last["blocks"], last["left_out"]) == (435, 30, 31, False)
    assert (first["left_out"], first["pairs"] > 10) == (True, True)
    assert (found["pairs"], found["limit"], found["widest"]) == (435, 400, "last")
    assert found["tighter"][0]["rule"].startswith("last + ")
    assert all(0 < one["pairs"] <= 108 for one in found["tighter"])
    shown = CliRunner().invoke(build(AZURE_US), arguments, catch_exceptions=False).output
    assert "435 pairs, more than the limit of 400" in shown
    assert "Tighter than last" in shown
    by_default = CliRunner().invoke(build(AZURE_US), ["link", "count", str(records)], catch_exceptions=False)
    assert "first + last" in by_default.output


@pytest.mark.parametrize(
    "text", ["", "[input]\nschema = 1", SPEC.replace("link", "screen"), SPEC.replace('"last" }] }', '"no" }] }')]
)
def test_count_refuses_a_spec_that_it_cannot_use(tmp_path: Path, text: str) -> None:
    records, spec = tmp_path / "people.csv", tmp_path / "job.toml"
    records.write_text(PEOPLE)
    spec.write_text(text)
    done = CliRunner().invoke(build(AZURE_US), ["link", "count", str(records), "--spec", str(spec)])
    assert done.exit_code == 2
