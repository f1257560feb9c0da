"""`columns.toml`: what is accepted, and that every refusal names its line and what to write."""

from pathlib import Path

import pytest

from cji_client.columns.file import decode_columns, load_columns
from cji_core.data_classes import DataClass
from cji_core.errors import SpecError
from tests.support.encrypted_values import COLUMNS_TOML as GOOD


def test_a_whole_description(tmp_path: Path) -> None:
    (file := tmp_path / "columns.toml").write_text(GOOD)

    found = load_columns(file)

    assert found.keys_file == str(tmp_path / "persons.keys.json")
    assert [found.data_class(each) for each in found.columns] == [DataClass.BIOGRAPHIC, DataClass.CONTROL_NUMBER]
    assert found.results[0].as_ == "person_token"
    assert found.column("last") is found.columns[0]
    assert found.column("first") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ('format = "sql_server"', 'format = "oracle"', 1, "oracle"),
        ('table = "cjis.dbo.Persons"', "table = 4", 2, "Expected `str`"),
        ("person/1", "row_status/1", 3, "not a schema of input records"),
        ('keys_file = "persons.keys.json"', 'other = "x"', None, "unknown field `other`"),
        ('provider = "azure_key_vault"', 'provider = "tedious"', 9, "tedious"),
        ('provider = "azure_key_vault"', 'provider = "azure_key_vault"\nurl = "x"', 6, "unknown field `url`"),
        ('record = "last"', 'record = ""', 14, "LastName has no column of the records"),
        ('record = "last"', 'record = "surname"', 14, "surname is not a column of person/1"),
        ('name = "Token"', 'name = "LastName"', 21, "stands there twice"),
        ('encryption = "randomized"', 'encryption = "plain"', 24, "plain"),
        ('key = "CEK_Identity"\nrights = ["seal"]', 'key = "CEK"\nrights = ["seal"]', 25, "not the name of one of"),
        ('["open", "compare"]', '["compare"]', 18, "compare without open"),
        ('["open", "compare"]', '["open", "open"]', 18, "a right is repeated"),
        ('["open", "compare"]', '["open", "read"]', 18, "read"),
        ('["open", "compare"]', "[]", 18, "length"),
        ('["open", "compare"]', '["open"]\ndata_class = "case"', 19, "has the class biographic"),
        ('data_class = "control number"', "", 22, "its class of data is unknown"),
        ('as = "person_token"', 'as = "last"', 32, "not a column with the right seal"),
        ("[[results]]", "[[results", 29, ""),
        ('"nvarchar(60)"', '"nvarchar (60)"', 15, "is not a type of an encrypted column"),
        ('"nvarchar(60)"', '"sql_variant"', 15, "is not a type of an encrypted column"),
        ('"varchar(64) utf-8"', '"varchar(64)"', 23, "is not a type of an encrypted column"),
        ('"nvarchar(60)"', '"string"', 15, "a type of the other format"),
        ('record = "person_token"', 'record = "person token"', 22, "person token is not a name"),
        ('"cjis.dbo.Persons"', '" cjis"', 2, "a blank at an end"),
        ("https://contoso", "https://" + "x" * 250, 8, "longer than 256 bytes"),
        ('"persons.keys.json"', '"persons\\u0000.keys.json"', 4, "not the name of a file"),
    ],
)
def test_a_fault_is_refused_with_its_line(old: str, new: str, line: int | None, what: str) -> None:
    assert GOOD.count(old) >= 1

    with pytest.raises(SpecError) as refused:
        decode_columns(GOOD.replace(old, new, 1).encode())

    text = str(refused.value)
    assert what in text
    assert line is None or f"line {line}:" in text or f"line {line}," in text, text
    assert refused.value.remedy


def test_cosmos_has_paths_and_one_provider() -> None:
    cosmos = GOOD.replace("sql_server", "cosmos_db").replace("nvarchar(60)", "string")

    with pytest.raises(SpecError, match="line 13: not the path of a property") as refused:
        decode_columns(cosmos.encode())
    assert "/LastName" in refused.value.remedy
    with pytest.raises(SpecError, match="line 9: Cosmos DB has azure_key_vault only"):
        decode_columns(cosmos.replace("azure_key_vault", "cng").encode())
    paths = cosmos.replace('"LastName"', '"/last"').replace('"Token"', '"/token"')
    with pytest.raises(SpecError, match=r"line 23: varchar.* is a type of the other format"):
        decode_columns(paths.encode())
    assert decode_columns(paths.replace("varchar(64) utf-8", "string").encode()).columns[0].type == "string"


@pytest.mark.parametrize("data", [b"", b"\xff", b"[[keys]]", b"a" * (1 << 21), b"columns = 3", b"[columns]\n"])
def test_no_bytes_make_another_error(data: bytes) -> None:
    with pytest.raises(SpecError):
        decode_columns(data)
