"""A cell opens and seals columns of every type without a file: the self-test has loaded whatever that takes."""

from tests.support.sealed_off import events

IMPORTS = """
import mmap, os
import pyarrow as pa
from cji_core.format.columns import SqlType
from cji_core.operations.tables import load
from cji_operations.sealed_columns import ColumnOpener, ColumnSealer, OpenedValues, ValueUnfit
from cji_worker.cell import self_test
from cji_worker.cell.process import WINDOW_BYTES

KINDS = {
    "bit": "0", "tinyint": "255", "smallint": "-32768", "int": "7", "bigint": "-9223372036854775808", "real": "-0",
    "float": "1e300", "decimal(38,10)": "-1.5", "numeric(5,0)": "12", "money": "-1.5", "smallmoney": "2",
    "date": "9999-12-31", "datetime": "1753-01-01T00:00:00.003", "smalldatetime": "1900-01-01T00:01",
    "time(0)": "01:02:03", "time(7)": "01:02:03.1234567", "datetime2(7)": "0001-01-01T00:00:00.0000001",
    "datetimeoffset(7)": "2001-01-01T00:00:00.0000001-14:00",
    "uniqueidentifier": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "nchar(9)": "\\U0001F600", "nvarchar(60)": "PE\\u00d1A", "nvarchar(max)": "\\u65e5\\u672c", "binary(3)": "ab",
    "varbinary(max)": "x" * 5000, "string": "\\U0001F600", "long": "-1", "double": "0.1",
    **{f"varchar(60) {page}": text for page, text in {
        "utf-8": "\\U0001F600", "cp437": "\\u00e9", "cp850": "\\u00e9", "cp874": "\\u0e01", "cp932": "\\u65e5\\u672c",
        "cp936": "\\u4e2d", "cp949": "\\uac00", "cp950": "\\u4e2d", "cp1250": "\\u0141", "cp1251": "\\u0416",
        "cp1252": "\\u20ac", "cp1253": "\\u03a9", "cp1254": "\\u011f", "cp1255": "\\u05d0", "cp1256": "\\u0627",
        "cp1257": "\\u0105", "cp1258": "\\u01b0"}.items()},
}
"""
SELF_TEST = """
self_test._run_columns(memoryview(mmap.mmap(-1, WINDOW_BYTES)), load())
"""
ACT = """
for text, value in KINDS.items():
    kind = SqlType.parse(text)
    for deterministic in (False, True):
        sealer = ColumnSealer(kind, kind.format, deterministic=False, cek=bytes(32), random=os.urandom)
        cells = sealer.seal(pa.array([value, None, value]))
        damaged = [cells[0].as_py()[:-1] + b"?", b"", cells[0].as_py()[:40], b"\\2" * 65, cells[0].as_py()[:-16]]
        opener = ColumnOpener(
            kind, kind.format, deterministic=deterministic, cek=bytes(32), target=pa.utf8(), day=True,
            opened=OpenedValues() if deterministic else None,
        )
        for column in (cells, pa.array(damaged, pa.binary()), cells.slice(1, 1), cells.slice(0, 0)):
            opened = opener.open(column)
        try:
            sealer.seal(pa.array(["\\u2603" * 9000]))
        except ValueUnfit:
            pass
"""


def test_nothing_is_imported_or_opened_for_a_sealed_column() -> None:
    assert events(IMPORTS + SELF_TEST, ACT) == "[]"


def test_without_the_self_test_a_codec_is_looked_for() -> None:
    assert "encodings.utf_16_le" in events(IMPORTS, ACT)
