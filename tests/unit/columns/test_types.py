"""The types of sealed columns, and the one text of each."""

import codecs

import pytest

from cji_core.format.columns import CODE_PAGES, ColumnFormat, SqlType, TypeInvalid

PLAIN = (
    "bit tinyint smallint int bigint real float money smallmoney date datetime smalldatetime uniqueidentifier "
    "decimal(1,0) decimal(38,38) numeric(9,2) time(0) datetime2(7) datetimeoffset(3) nchar(1) nchar(4000) nvarchar(60) "
    "nvarchar(max) binary(8000) varbinary(16) varbinary(max) string long double bool"
)
GOOD = [*PLAIN.split(), "char(9) cp1252", "char(8000) utf-8", "varchar(1) cp932", "varchar(max) utf-8"]
NONE = (
    "text decimal decimal(39,0) decimal(9) decimal(9,10) decimal(0,0) decimal(09,2) decimal(max,2) time time(8) "
    "time(max) datetime2(3,1) date(3) int(4) nchar(0) nchar(4001) nchar(max) char(9) char(max) varchar(max) "
    "nvarchar nvarchar(60,2) nvarchar(0) nvarchar() binary(max) binary(8001) Int INT sql_variant bit(1) string(4) _x"
)
BAD = [
    *NONE.split(),
    "",
    " int",
    "int ",
    "char(9) cp1200",
    "char(9)  cp1252",
    "char(9) utf8",
    "char(9) UTF-8",
    "nchar(9) cp1252",
    "int cp1252",
    "nvarchar(max) utf-8",
    "varchar(max)\n",
    "varchar(٩) utf-8",
    "decimal(9, 2)",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_type_has_the_text_it_was_read_from(text: str) -> None:
    found = SqlType.parse(text)
    assert str(found) == text
    cosmos = text in {"string", "long", "double", "bool"}
    assert found.format is (ColumnFormat.COSMOS_DB if cosmos else ColumnFormat.SQL_SERVER)


@pytest.mark.parametrize("text", BAD)
def test_another_text_is_no_type(text: str) -> None:
    with pytest.raises(TypeInvalid):
        SqlType.parse(text)


def test_a_type_knows_its_lengths_and_digits() -> None:
    assert SqlType.parse("decimal(9,2)") == SqlType("decimal", precision=9, scale=2)
    assert SqlType.parse("time(3)") == SqlType("time", scale=3)
    assert SqlType.parse("varchar(max) cp1252") == SqlType("varchar", code_page="cp1252")
    assert SqlType.parse("nchar(9)").length == 9


@pytest.mark.parametrize(
    "values",
    [
        {"name": "int", "length": 4},
        {"name": "int", "code_page": "cp1252"},
        {"name": "decimal", "precision": 9},
        {"name": "decimal", "precision": 9, "scale": 2, "length": 1},
        {"name": "time", "scale": 3, "precision": 1},
        {"name": "nchar", "length": 9, "scale": 1},
        {"name": "string", "length": 9},
        {"name": "char", "length": 9},
    ],
    ids=str,
)
def test_a_type_that_does_not_exist_cannot_be_made(values: dict[str, object]) -> None:
    with pytest.raises(TypeInvalid):
        SqlType(**values)  # type: ignore[arg-type]


def test_every_code_page_is_a_codec() -> None:
    assert all(codecs.lookup(name) for name in CODE_PAGES)
