"""Documents with client-side encryption: cells by their paths, findings in clear, documents with results."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cji_client.columns.documents import ClearLeaf, Documents
from cji_client.columns.file import ColumnsFile, decode_columns
from cji_client.errors import ColumnError, SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec
from tests.support.cells_of_form import TOKEN, cell, columns_file, columns_toml, unusable

SSN, STREET = ("/ssn", "SOC"), ("/address/street", "address_1")


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def described(*columns: tuple[str, str]) -> ColumnsFile:
    return columns_file(*columns, form="cosmos_db", rest=TOKEN)


A, B, C = (cell(name, marker=5) for name in "ABC")
PEOPLE: list[dict[str, Any]] = [
    {"id": "1", "dept": "hr", "ssn": text(A), "address": {"street": text(B), "zip": text(C), "note": None}, "_ts": 17},
    {"id": "2", "dept": None, "ssn": None, "address": {}},
    {"id": "3", "dept": 7, "address": None, "plain": {"x": [1, {"y": "z"}]}},
]


def test_leaves_become_columns_by_their_paths() -> None:
    found = Documents(PEOPLE, described(SSN, STREET), plain=("/id", "/dept", "/plain/x/1/y"))
    assert found.table.to_pydict() == {
        "/ssn": [A, None, None],
        "/address/street": [B, None, None],
        "/id": ["1", "2", "3"],
        "/dept": ["hr", None, "7"],
        "/plain/x/1/y": [None, None, "z"],
    }
    assert found.findings == ()


def test_a_table_of_documents_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "columns.toml").write_text(columns_toml(SSN, STREET, form="cosmos_db"))
    spec = InputSpec(schema="person/1", columns=tmp_path / "columns.toml", rename={"/id": "record_id"})
    fitted = fit(Documents(PEOPLE, tmp_path / "columns.toml", plain=("/id",)), spec)
    assert fitted.sealed == ("SOC", "address_1")
    assert fitted.schema.names == ["SOC", "address_1", "record_id"]


@pytest.mark.parametrize(
    ("leaf", "what"),
    [(10**5000, "a number that is too large"), ("SMITH\ud800", "text that is not Unicode")],
    ids=["number", "text"],
)
def test_a_leaf_that_no_document_has_is_refused(leaf: object, what: str) -> None:
    """A driver in Python gives what JSON cannot hold; the refusal has no part of it."""
    with pytest.raises(ColumnError, match=f"document 0, /dept: found {what}") as refused:
        Documents([{"ssn": text(A), "dept": leaf}], described(SSN), plain=("/dept",))
    assert refused.value.remedy
    assert "SMITH" not in str(refused.value) + repr(refused.value.__context__)


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        ("078-05-1120", "text"),
        (780511200, "a number"),
        (1.5, "a number"),
        (False, "a truth value"),
        (text(A)[:-1], "text"),
        (text(A) + "\n", "text"),
        (text(cell("A")), "text"),
        (text(b"\x06" + A[1:]), "text"),
        (text(b"\x01" + A[1:]), "text"),
        (url(b"\x05\x01" + b"\xff" * 64), "text"),
        ("\u00e9" * 88, "text"),
    ],
)
@pytest.mark.parametrize("path", ["/ssn", "/address/street", "/address/other", "/address/deep/0"])
def test_a_leaf_in_clear_is_a_finding(leaf: object, kind: str, path: str) -> None:
    people = copy.deepcopy(PEOPLE)
    where: dict[str, Any] = {"ssn": leaf} if path == "/ssn" else {"address": {}}
    if path == "/address/deep/0":
        where["address"]["deep"] = [leaf]
    elif path != "/ssn":
        where["address"][path.removeprefix("/address/")] = leaf
    people.insert(2, where)
    with unusable(ColumnError, f"document 2, {path}: found {kind} that is not a cell", remedy="leave_out") as error:
        Documents(people, described(SSN, STREET))
    assert str(leaf) not in str(error.value)
    left_out = Documents(people, described(SSN, STREET), clear="leave_out")
    assert left_out.findings == (ClearLeaf(document=2, path=path, kind=kind),)
    assert left_out.table["/ssn"].to_pylist() == [A, None, None, None]
    assert left_out.table["/address/street"].to_pylist() == [B, None, None, None]


@pytest.mark.parametrize(("value", "kind"), [({"a": text(A)}, "an object"), ([text(A)], "an array"), ({}, "an object")])
def test_structure_where_a_cell_is_described(value: object, kind: str) -> None:
    with unusable(ColumnError, f"document 0, /ssn: found {kind}, wanted a cell", remedy="each by its own path"):
        Documents([{"ssn": value}], described(SSN), clear="leave_out")


def test_items_of_an_array_are_columns_or_none_is() -> None:
    tags: list[dict[str, Any]] = [{"tags": [text(A), None]}, {"tags": []}, {"tags": [None, text(B)]}]
    both = described(("/tags/0", "last"), ("/tags/1", "first"))
    assert Documents(tags, both).table.to_pydict() == {"/tags/0": [A, None, None], "/tags/1": [None, None, B]}
    more: Any
    for more in ([text(A), text(B), text(C)], [None, None, [text(C)]], [None, None, {"x": text(C)}]):
        with unusable(ColumnError, "document 3, /tags/2", remedy="or none of the array"):
            Documents([*tags, {"tags": more}], both)
    history = described(("/address/street", "address_1"))
    assert Documents([{"address": {"street": text(A), "old": [text(B)]}}], history).table.num_columns == 1


def test_id_is_base64url_and_nothing_else() -> None:
    high = b"\x05\x01" + b"\xff" * 64
    columns = described(("/id", "record_id"), SSN)
    assert Documents([{"id": url(high), "ssn": text(high)}], columns).table.to_pydict() == {
        "/id": [high],
        "/ssn": [high],
    }
    for swapped in ({"id": text(high)}, {"ssn": url(high)}):
        with unusable(ColumnError, "that is not a cell"):
            Documents([swapped], columns)


def test_names_with_slash_and_tilde_are_pointers() -> None:
    columns = described(("/a~1b/c~0d", "last"))
    assert Documents([{"a/b": {"c~d": text(A)}}], columns).table.to_pydict() == {"/a~1b/c~0d": [A]}
    with unusable(ColumnError, "document 0, /a~1b/x?"):
        Documents([{"a/b": {"x\n": "clear"}}], columns)


def test_what_is_sent_in_clear_is_outside_of_what_is_encrypted() -> None:
    with unusable(ColumnError, "/ssn is below an encrypted property"):
        Documents(PEOPLE, described(SSN), plain=("/ssn",))
    with unusable(ColumnError, "document 2, /plain: found an object"):
        Documents(PEOPLE, described(SSN), plain=("/plain",))
    with unusable(ColumnError, "dept is not the path of a leaf"):
        Documents(PEOPLE, described(SSN), plain=("dept",))
    with unusable(SpecError, "is a table of SQL Server"):
        Documents(PEOPLE, columns_file(("SSN", "SOC")))
    with unusable(SpecError, "document 0 is not a JSON object"):
        Documents(["text"], described(SSN))  # type: ignore[list-item]


def results(**columns: Any) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = pa.table(columns).to_batches()
    return found


def test_results_go_back_into_their_documents() -> None:
    documents = Documents(PEOPLE, described(SSN), plain=("/id",))
    before = copy.deepcopy(PEOPLE)
    put = list(documents.put(results(record_id=["3", "1"], token=[C, None]), key="record_id"))
    assert put == [{**PEOPLE[2], "token": text(C)}, {**PEOPLE[0], "token": None}]
    assert before == PEOPLE
    by_cell = documents.put(results(SOC=[A], token=[B]), key="SOC", path="/ssn")
    with unusable(ColumnError, "document 1, /ssn: found no key of its own"):
        list(by_cell)
    sealed = Documents([{"id": url(A)}, {"id": url(B)}], described(("/id", "record_id")))
    assert list(sealed.put(results(record_id=[B], token=[C]), key="record_id")) == [{"id": url(B), "token": text(C)}]


def test_a_row_without_a_document_of_its_own_is_refused() -> None:
    documents = Documents(PEOPLE, described(SSN), plain=("/id",))
    for keys in (["4"], ["1", "1"], [None]):
        with unusable(SpecError, "a record_id that no document has at /id"):
            list(documents.put(results(record_id=keys, token=[C] * len(keys)), key="record_id"))
    twice = Documents([{"id": "1"}, {"id": "1"}], described(SSN))
    with unusable(ColumnError, "document 1, /id: found no key of its own"):
        list(twice.put(results(record_id=["1"], token=[C]), key="record_id"))
    for value in ("078-05-1120", [C]):
        flat = Documents([{"id": "1", "token": text(A)}], described(SSN))
        with unusable(ColumnError, "result has token in plain text"):
            list(flat.put(results(record_id=["1"], token=[value]), key="record_id"))


def test_files_of_documents_are_read(tmp_path: Path) -> None:
    (tmp_path / "columns.toml").write_text(columns_toml(SSN, form="cosmos_db"))
    spec = InputSpec(schema="person/1", columns=tmp_path / "columns.toml", rename={"/id": "record_id"})
    (tmp_path / "people.json").write_text(json.dumps(PEOPLE, indent=2))
    (tmp_path / "people.jsonl").write_text("\n\n".join(json.dumps(each) for each in PEOPLE))
    for name in ("people.json", "people.jsonl"):
        found = fit(read_file(tmp_path / name, spec), spec)
        assert pa.Table.from_batches(found.open().batches).to_pydict() == {
            "SOC": [A, None, None],
            "record_id": ["1", "2", "3"],
        }
    for name, data, says in (
        ("a.json", '{"id": 1}', "is not an array of documents"),
        ("a.json", "[{}, 1]", "document 1 is not a document"),
        ("a.jsonl", '{"id": 1}\n{"id": 1, "id": 2}', "line 2: a repeated member"),
        ("a.jsonl", '{"id": 1}\n[]', "line 2 is not a document"),
        ("a.jsonl", '{"a":' * 200, "line 1: nested too deep"),
    ):
        (tmp_path / name).write_text(data)
        with unusable(SpecError, says):
            fit(read_file(tmp_path / name, spec), spec)
    with unusable(SpecError, "people.json is JSON", remedy="need `columns`"):
        fit(read_file(tmp_path / "people.json", InputSpec(schema="person/1")), InputSpec(schema="person/1"))


@pytest.mark.vectors
def test_documents_that_azure_cosmos_wrote(vectors: Path) -> None:
    found = json.loads((vectors / "columns/cosmos_documents.json").read_text())["vectors"]
    leaves = {
        "v1": (("/ssn", "SOC"), ("/name", "last"), ("/grade", "SID"), ("/active", "SEX"), ("/rate", "HGT")),
        "v2": (("/id", "record_id"), ("/tenant", "ORI"), ("/email", "last"), ("/amount", "SID")),
    }
    schemas = {"v1": "person/1", "v2": "hotfile/1"}
    for each in found:
        names = leaves[each["container"]]
        toml = columns_toml(*names, form="cosmos_db", schema=schemas[each["container"]])
        columns, document = decode_columns(toml.encode()), each["encrypted"]
        if each["kind"] in ("marker", "not-encrypted"):
            with unusable(ColumnError, "/ssn: found text that is not a cell"):
                Documents([document], columns)
            continue
        table = Documents([document], columns).table  # of a wrong MAC the form is right
        for path, _ in names:
            leaf = document.get(path[1:])
            [cell_there] = table[path].to_pylist()
            assert cell_there == (
                None if leaf is None else base64.b64decode(leaf, altchars=b"-_" if path == "/id" else None)
            )
