"""The readers of records, which agencies send as they have them: each kind of file, sheets of workbooks, dates."""

import base64
import functools
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet

from cji_client.columns.cells import is_cell
from cji_client.date_formats import CANDIDATES
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.strict import parse
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, JSON, SIZED, TEXT
from tests.fuzz.worker_targets import folder
from tests.support.cells_of_form import cell, written
from tests.support.workbooks import MAIN, package, sheet_xml

__all__ = ["INPUTS"]

_TABLE: Final = pa.table({"record_id": ["007", "8", None], "DOB": ["1982-02-XX", "19151111", "x"]})
_ROWS: Final = (
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>DOB</t></is></c></row>'
    '<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" s="1"><v>29999</v></c></row>'
    '<row r="4" spans="1:2"><c r="A4" t="str"><f>A2&amp;"x"</f><v>neumannx</v></c><c r="B4" t="e"><v>#N/A</v></c></row>'
    '<row r="5"><c r="A5" s="2"><v>501</v></c><c r="B5" t="d"><v>1982-02-14</v></c></row>'
)
_STRINGS: Final = (
    f'<sst xmlns="{MAIN}" count="2"><si><t>last</t></si><si><r><t>neu</t></r>'
    '<r><t xml:space="preserve">mann </t></r></si></sst>'
)
_STYLES: Final = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="165" formatCode="00000"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="165"/></cellXfs></styleSheet>'
)
_OTHERS: Final = {"xl/sharedStrings.xml": _STRINGS, "xl/styles.xml": _STYLES}
_SHEET: Final = "xl/worksheets/sheet1.xml"


def _records(name: str, spec: InputSpec | Callable[[], InputSpec]) -> Callable[[bytes], object]:
    """All batches of a file of this name."""

    def read(data: bytes) -> object:
        path = folder() / name
        path.write_bytes(data)
        given = spec if isinstance(spec, InputSpec) else spec()
        source = fit(read_file(path, given), given)
        return source, pa.Table.from_batches(source.open().batches, schema=source.schema)

    return read


def _part(name: str) -> Callable[[bytes], object]:
    """A workbook with this part."""
    read = _records("people.xlsx", InputSpec(schema="person/1"))
    return lambda data: read(package(_ROWS, parts={**_OTHERS, name: data}, method=zipfile.ZIP_STORED))


def _dates(data: bytes) -> object:
    lines = data.decode("utf-8", "replace").splitlines()
    source = fit(pa.table({"DOB": pa.array(lines, pa.string())}), InputSpec(schema="person/1"))
    return source, pa.Table.from_batches(source.open().batches, schema=source.schema)


def _every_row(_: bytes, value: Any) -> bool:
    source, table = value
    table.validate(full=True)
    return bool(
        table.num_rows == source.rows
        and table.schema.metadata == {b"cji.schema": source.schema.metadata[b"cji.schema"]}
    )


def _written(data: bytes, value: Any) -> bool:
    """Values are pieces of the file, apart from quotes."""
    texts = (text for column in value[1].columns for text in column.to_pylist() if text is not None)
    plain = data.replace(b'"', b"")
    return _every_row(data, value) and all(text.replace('"', "").encode() in plain for text in texts)


@functools.cache
def _encrypted() -> InputSpec:
    (folder() / "sql").mkdir()
    return InputSpec(schema="person/1", columns=written(folder() / "sql", ("SSN", "SOC"), ("Born", "DOB")))


@functools.cache
def _container() -> InputSpec:
    (folder() / "cosmos").mkdir()
    paths = ("/ssn", "SOC"), ("/home/street", "address_1"), ("/tags/0", "first")
    columns = written(folder() / "cosmos", *paths, form="cosmos_db")
    return InputSpec(schema="person/1", columns=columns, rename={"/id": "record_id"})


def _cells_fair(data: bytes, value: Any) -> bool:
    """Each cell has the form of one, and the file has it in one of the codings."""
    plain = data.replace(b'"', b"")
    cells = (cell for name in value[0].sealed for cell in value[1][name].to_pylist() if cell is not None)
    return _every_row(data, value) and all(
        is_cell(cell, marker=False) and (cell.hex().encode() in plain.lower() or base64.b64encode(cell) in plain)
        for cell in cells
    )


def _documents_fair(data: bytes, value: Any) -> bool:
    """A row for each document, whose cells are the leaves that the document has there."""
    lines = (line.removeprefix(b"\xef\xbb\xbf") for line in data.split(b"\n") if line.strip())
    documents = [parse(line, limit=len(line), depth=200) for line in lines]
    leaves = [document.get("ssn") for document in documents]
    cells = [None if cell is None else base64.b64encode(cell).decode() for cell in value[1]["SOC"].to_pylist()]
    return _every_row(data, value) and cells == leaves


def _lines_fair(data: bytes, value: Any) -> bool:
    found = value[1]["segment"].to_pylist()
    return b"\n".join(found) == data.removesuffix(b"\n")


def _dates_fair(data: bytes, value: Any) -> bool:
    """A value that was changed is a day of eight digits, all of which the file has."""
    source, table = value
    pairs = zip(data.decode("utf-8", "replace").splitlines(), table["DOB"].to_pylist(), strict=True)
    changed = [(old, new) for old, new in pairs if old != new]
    return _every_row(data, (source, table)) and all(
        len(new) == 8 and new[:4] in old.upper().replace("-", "") for old, new in changed
    )


def _columnar(write: Callable[[io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _arrow(buffer: io.BytesIO) -> None:
    with pa.ipc.new_file(buffer, _TABLE.schema) as writer:
        writer.write_table(_TABLE, max_chunksize=1)


@functools.cache
def _csv() -> tuple[bytes, ...]:
    return (
        b'record_id,last,DOB\r\n007,"neu""mann, m",02/14/1982\n8,,19151111\n\n"9","a\nb",x\n',
        "last;first\nM\u00fcller;\u00c5\n".encode(),
        b"\xef\xbb\xbflast\tDOB\na\t12/31/1999\n",
    )


def _day_lines() -> tuple[bytes, ...]:
    day = {"YYYY": "1982", "MON": "feb", "MM": "02", "DD": "14"}
    written = (functools.reduce(lambda text, part: text.replace(*part), day.items(), one.text) for one in CANDIDATES)
    others = b"02/14/1982\n2/4/1982 0:00\nXX/XX/1982\n", b"1982-02-14\n19820214\nXX\nn/a\n"
    return *others, "\n".join(written).encode()


def _cell_lines() -> tuple[bytes, ...]:
    one, two = cell(1), cell(2, blocks=3)
    coded = base64.b64encode(two).decode()
    return (
        f"SSN,Born\n0x{one.hex().upper()},{coded}\n,{coded}\n{two.hex()},\n".encode(),
        f"SSN;last\n{base64.b64encode(one).decode()};neumann\n".encode(),
    )


def _document_lines() -> tuple[bytes, ...]:
    one, two = (base64.b64encode(cell(seed, marker=5)).decode() for seed in (1, 2))
    first = {"id": "1", "ssn": one, "home": {"street": two, "zip": one, "x": None}, "tags": [two], "_ts": 1.5}
    other: dict[str, Any] = {"id": None, "ssn": None, "home": {}, "tags": [], "more": {"a": [1, {"b": "c"}]}}
    return b"".join(json.dumps(each).encode() + b"\n" for each in (first, other)), json.dumps(first).encode()


def _input(name: str, corpus: Callable[[], tuple[bytes, ...]], read: Callable[[bytes], object], **rest: Any) -> Any:
    given: dict[str, Any] = {"refusals": (SpecError,), "fair": _every_row, "weight": 6}
    return target(f"input-{name}", corpus, read, **(given | rest))


_PERSON: Final = InputSpec(schema="person/1")
_VERBATIM: Final = InputSpec(schema="person/1", date_format="verbatim")
_ANY: Final = (*TEXT, *BYTES)
_WIDTHS: Final = InputSpec(schema="person/1", fixed_width={"record_id": (1, 3), "last": (4, 11), "DOB": (13, 20)})
_WINDOWS: Final = InputSpec(schema="person/1", encoding="windows-1252", delimiter=",")

INPUTS: Final = (
    _input("csv", _csv, _records("people.csv", _VERBATIM), fair=_written, mutators=TEXT),
    _input("windows", lambda: (b"last,first\nM\xfcller,b\n",), _records("people.csv", _WINDOWS), mutators=_ANY),
    _input("utf16", lambda: ("last,first\nM\u00fcller,b\n".encode("utf-16"),), _records("people.csv", _PERSON)),
    _input("fixed", lambda: (b"007neumann  19820214\n008\n\n",), _records("people.dat", _WIDTHS), mutators=_ANY),
    _input(
        "lines",
        lambda: (b"00871I0120\r\n\n0087\xff",),
        _records("people.txt", InputSpec(schema="nibrs.flat/3.1")),
        fair=_lines_fair,
    ),
    _input("excel", lambda: (package(_ROWS, parts=_OTHERS),), _records("people.xlsx", _PERSON), mutators=SIZED),
    _input("sheet", lambda: (sheet_xml(_ROWS).encode(),), _part(_SHEET), mutators=_ANY, weight=10),
    _input("strings", lambda: (_STRINGS.encode(),), _part("xl/sharedStrings.xml"), mutators=_ANY, weight=4),
    _input("styles", lambda: (_STYLES.encode(),), _part("xl/styles.xml"), mutators=_ANY, weight=4),
    _input("arrow", lambda: (_columnar(_arrow),), _records("people.arrow", _PERSON), mutators=SIZED),
    _input(
        "parquet",
        lambda: (_columnar(functools.partial(pyarrow.parquet.write_table, _TABLE)),),
        _records("people.parquet", _PERSON),
        mutators=SIZED,
    ),
    _input("cells", _cell_lines, _records("people.csv", _encrypted), fair=_cells_fair, mutators=_ANY),
    _input(
        "documents",
        _document_lines,
        _records("people.jsonl", _container),
        fair=_documents_fair,
        mutators=(*JSON, *_ANY),
    ),
    _input("dates", _day_lines, _dates, fair=_dates_fair, mutators=_ANY, weight=4),
)
