"""`describe`: columns.toml from a catalogue or a container, and every finding by an export that has it."""

import base64
import codecs
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_client.columns.describe import describe
from cji_client.columns.documents import Documents
from cji_client.columns.draft import Draft, DraftColumn, DraftKey, proposals
from cji_client.columns.file import decode_columns
from cji_client.columns.sql_catalogue import query
from cji_core.errors import SpecError
from cji_core.format.columns import SqlType
from tests.support.cells_of_form import cell, columns_file

AEAD = "AEAD_AES_256_CBC_HMAC_SHA256"
VAULT = "https://contoso.vault.azure.net/keys/CMK/0123456789abcdef0123456789abcdef"


def value(path: str = VAULT, bits: int = 2048) -> str:
    inside = path.lower().encode("utf-16-le")
    data = b"\1" + len(inside).to_bytes(2, "little") + (bits // 8).to_bytes(2, "little") + inside + bytes(bits // 4)
    return f"0x{data.hex().upper()}"


def column(name: str, kind: str, size: int, **more: Any) -> dict[str, Any]:
    """As FOR JSON writes a row of the catalogue: members that are NULL are left out."""
    return {
        "schema": "dbo",
        "table": "Persons",
        "column": name,
        "type": kind,
        "max_length": size,
        "precision": 0,
        "scale": 0,
        "encryption_type": 2,
        "encryption_algorithm_name": AEAD,
        "column_encryption_key": "CEK_Identity",
        **more,
    }


def catalogue() -> dict[str, Any]:
    return {
        "database": "cjis",
        "columns": [
            {
                "schema": "dbo",
                "table": "Persons",
                "column": "Id",
                "type": "int",
                "max_length": 4,
                "precision": 10,
                "scale": 0,
            },
            column(
                "LastName", "nvarchar", 120, collation_name="Latin1_General_BIN2", code_page=1252, encryption_type=1
            ),
            column("SSN", "char", 9, collation_name="Latin1_General_BIN2", code_page=1252, encryption_type=1),
            column("DateOfBirth", "date", 3, precision=10),
            column("Notes", "nvarchar", -1),
        ],
        "column_encryption_key_values": [
            {
                "column_encryption_key": "CEK_Identity",
                "column_master_key": "CMK",
                "encryption_algorithm_name": "RSA_OAEP",
                "encrypted_value": value(),
            }
        ],
        "column_master_keys": [
            {
                "name": "CMK",
                "key_store_provider_name": "AZURE_KEY_VAULT",
                "key_path": VAULT,
                "allow_enclave_computations": False,
            }
        ],
    }


def drafted(folder: Path, document: Any, **more: Any) -> Draft:
    (file := folder / "export.json").write_text(json.dumps(document))
    return describe(file, **more)


def codes(draft: Draft) -> set[str]:
    return {finding.code for finding in draft.all_findings("person/1")}


def test_a_catalogue_becomes_columns(tmp_path: Path) -> None:
    draft = drafted(tmp_path, catalogue())

    text = draft.text("person/1", "persons.keys.json")
    assert codes(draft) == set()
    assert 'record = ""  # a column of person/1, or remove this entry' in text
    with pytest.raises(SpecError, match="Notes has no column of the records"):
        decode_columns(text.encode())
    found = decode_columns(text.replace('record = ""', 'record = "SMT"').encode())
    assert [(one.name, one.record, one.type, one.encryption) for one in found.columns] == [
        ("LastName", "last", "nvarchar(60)", "deterministic"),
        ("SSN", "SOC", "char(9) cp1252", "deterministic"),
        ("DateOfBirth", "DOB", "date", "randomized"),
        ("Notes", "SMT", "nvarchar(max)", "randomized"),
    ]
    assert (found.table, found.keys[0].master_key) == ("cjis.dbo.Persons", VAULT)
    assert found.keys[0].encrypted_value == value()[2:].lower()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (("bit", 1), "bit"),
        (("decimal", 5, 9, 2), "decimal(9,2)"),
        (("numeric", 17, 38, 0), "numeric(38,0)"),
        (("datetime2", 7, 23, 3), "datetime2(3)"),
        (("datetimeoffset", 10, 34, 7), "datetimeoffset(7)"),
        (("time", 5, 16, 7), "time(7)"),
        (("varbinary", -1), "varbinary(max)"),
        (("nchar", 4), "nchar(2)"),
        (("float", 8, 53), "float"),
        (("uniqueidentifier", 16), "uniqueidentifier"),
    ],
)
def test_types_of_the_catalogue(tmp_path: Path, kind: tuple[Any, ...], text: str) -> None:
    document = catalogue()
    name, size, precision, scale = (*kind, 0, 0)[:4]
    document["columns"] = [column("A", name, size, precision=precision, scale=scale)]
    assert str(drafted(tmp_path, document).columns[0].type) == text


def test_code_pages_of_collations(tmp_path: Path) -> None:
    document = catalogue()
    document["columns"] = [column("A", "varchar", 10, code_page=65001), column("B", "char", 9, code_page=932)]
    assert [str(one.type) for one in drafted(tmp_path, document).columns] == ["varchar(10) utf-8", "char(9) cp932"]


def _several_classes(document: dict[str, Any]) -> None:
    document["columns"].append(column("StateId", "varchar", 10, code_page=1252))


def _several_tables(document: dict[str, Any]) -> None:
    document["columns"].append(column("X", "int", 4, table="Cases"))


def _few(document: dict[str, Any]) -> None:
    document["columns"].append(column("Flag", "bit", 1, encryption_type=1))


def _few_by_meaning(document: dict[str, Any]) -> None:
    document["columns"].append(column("Race", "nvarchar", 80, encryption_type=1))


def _unsupported(document: dict[str, Any]) -> None:
    document["columns"].append({**document["columns"][0], "column": "Photo", "type": "xml"})


def _unsupported_cells(document: dict[str, Any]) -> None:
    document["columns"].append(column("Variant", "sql_variant", 8016))


def _other_algorithm(document: dict[str, Any]) -> None:
    document["columns"].append(column("A", "int", 4, encryption_algorithm_name="AES_256"))


def _enclave(document: dict[str, Any]) -> None:
    document["column_master_keys"][0]["allow_enclave_computations"] = True


def _rotation(document: dict[str, Any]) -> None:
    document["column_encryption_key_values"].append(
        {
            **document["column_encryption_key_values"][0],
            "column_master_key": "CMK2",
            "encrypted_value": value("CurrentUser/My/AB"),
        }
    )
    document["column_master_keys"].append(
        {"name": "CMK2", "key_store_provider_name": "MSSQL_CERTIFICATE_STORE", "key_path": "CurrentUser/My/AB"}
    )


def _path(document: dict[str, Any]) -> None:
    document["column_encryption_key_values"][0]["encrypted_value"] = value("https://other.vault.azure.net/keys/CMK/1")


def _malformed(document: dict[str, Any]) -> None:
    document["column_encryption_key_values"][0]["encrypted_value"] = "0x01"


def _elsewhere(document: dict[str, Any]) -> None:
    other = column("A", "int", 4, column_encryption_key_database_name="keys")
    del other["column_encryption_key"]
    document["columns"].append(other)


def _second_key(document: dict[str, Any], provider: str, **more: Any) -> None:
    document["columns"].append(column("A", "int", 4, column_encryption_key="CEK_2"))
    document["column_master_keys"].append({"name": "JKS", "key_store_provider_name": provider, "key_path": VAULT})
    made = {**document["column_encryption_key_values"][0], "column_encryption_key": "CEK_2", "column_master_key": "JKS"}
    document["column_encryption_key_values"].append(made | more)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("key-of-several-classes", _several_classes),
        ("key-of-several-tables", _several_tables),
        ("deterministic-few-values", _few),
        ("deterministic-few-values", _few_by_meaning),
        ("type-not-supported", _unsupported),
        ("type-not-supported", _unsupported_cells),
        ("type-not-supported", _other_algorithm),
        ("enclave-computations", _enclave),
        ("key-with-several-values", _rotation),
        ("key-path-differs", _path),
        ("value-malformed", _malformed),
        ("key-elsewhere", _elsewhere),
        ("provider-not-supported", lambda document: _second_key(document, "MSSQL_JAVA_KEYSTORE")),
        (
            "provider-not-supported",
            lambda document: _second_key(document, "MSSQL_CNG_STORE", encryption_algorithm_name="RSA"),
        ),
    ],
)
def test_each_finding_has_an_export(tmp_path: Path, code: str, change: Callable[[dict[str, Any]], None]) -> None:
    document = catalogue()
    change(document)
    draft = drafted(tmp_path, document, table="dbo.Persons")
    assert code in codes(draft)
    assert codes(draft) <= {code, "key-not-usable"}
    text = draft.text("person/1", "k.json").replace('record = ""', 'record = "SMT"', 1)
    names = iter(("HGT", "WGT"))
    while 'record = ""' in text:
        text = text.replace('record = ""', f'record = "{next(names)}"', 1)
    decode_columns(text.encode())


def test_the_newest_value_of_a_rotation_is_used(tmp_path: Path) -> None:
    document = catalogue()
    _rotation(document)
    (key,) = (draft := drafted(tmp_path, document)).keys
    assert (key.master_key, key.provider) == ("CurrentUser/My/AB", "certificate_store")
    assert f'# master_key = "{VAULT}"' in draft.text("person/1", "k.json")


def test_one_table_of_several(tmp_path: Path) -> None:
    document = catalogue()
    _several_tables(document)
    with pytest.raises(SpecError, match=r"several tables: dbo\.Cases, dbo\.Persons"):
        drafted(tmp_path, document)
    with pytest.raises(SpecError, match=r"no encrypted column of dbo\.Others"):
        drafted(tmp_path, document, table="dbo.Others")
    assert drafted(tmp_path, document, table="cjis.dbo.cases").table == "cjis.dbo.Cases"


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("database"),
        lambda document: document.update(tables=[]),
        lambda document: document["columns"].clear(),
        lambda document: document["columns"][1].update(max_length="120"),
        lambda document: document["column_encryption_key_values"][0].update(encrypted_value="AW4A"),
        lambda document: document["column_encryption_key_values"].clear(),
    ],
)
def test_another_document_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = catalogue()
    change(document)
    with pytest.raises(SpecError):
        drafted(tmp_path, document)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"{", b"\xff", b'{"columns":[]}', b"\xef\xbb\xbf{}", b'{"a":1,"a":2}']
)
def test_no_bytes_make_another_error(tmp_path: Path, data: bytes) -> None:
    (file := tmp_path / "export.json").write_bytes(data)
    with pytest.raises(SpecError):
        describe(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_exports_of_tools_on_windows(tmp_path: Path, encoding: str) -> None:
    (file := tmp_path / "export.json").write_bytes(f"{json.dumps(catalogue())}\r\n".encode(encoding))
    assert describe(file).table == "cjis.dbo.Persons"
    file.write_bytes(codecs.BOM_UTF16_BE + json.dumps(catalogue()).encode("utf-16-be"))
    assert describe(file).table == "cjis.dbo.Persons"


def test_the_query_names_what_the_reader_reads() -> None:
    text = query()
    for name in ("sys.columns", "sys.types", "sys.tables", "sys.schemas", "sys.column_encryption_keys"):
        assert f"{name} AS" in text
    members = {name for rows in catalogue().values() if isinstance(rows, list) for row in rows for name in row}
    for name in members:
        assert name in text


CONTAINER = {
    "id": "persons",
    "partitionKey": {"paths": ["/dept"], "kind": "Hash"},
    "clientEncryptionPolicy": {
        "policyFormatVersion": 1,
        "includedPaths": [
            {
                "path": "/lastName",
                "clientEncryptionKeyId": "key1",
                "encryptionType": "Deterministic",
                "encryptionAlgorithm": AEAD,
            },
            {
                "path": "/address",
                "clientEncryptionKeyId": "key1",
                "encryptionType": "Randomized",
                "encryptionAlgorithm": AEAD,
            },
        ],
    },
}
KEY = {
    "id": "key1",
    "encryptionAlgorithm": AEAD,
    "wrappedDataEncryptionKey": "AAAA",
    "keyWrapMetadata": {"type": "AZURE_KEY_VAULT", "name": "cmk-a", "value": VAULT, "algorithm": "RSA-OAEP"},
    "_etag": "1",
}


@pytest.mark.parametrize(
    ("container", "keys"),
    [
        (CONTAINER, {"_rid": "x", "ClientEncryptionKeys": [KEY], "_count": 1}),
        (CONTAINER, [KEY]),
        ({"name": "persons", "resource": CONTAINER}, [{"name": "key1", "resource": KEY}]),
        (
            {"properties": {"resource": CONTAINER}},
            {"value": [{"id": "/subscriptions/x", "properties": {"resource": KEY}}]},
        ),
        ({"container": CONTAINER, "clientEncryptionKeys": [KEY]}, None),
    ],
)
def test_a_container_becomes_columns(tmp_path: Path, container: Any, keys: Any) -> None:
    file = None
    if keys is not None:
        (file := tmp_path / "keys.json").write_text(json.dumps(keys))
    draft = drafted(tmp_path, container, keys=file)

    found = decode_columns(draft.text("person/1", "k.json").encode())
    assert (found.format, found.table) == ("cosmos_db", "persons")
    assert [(one.name, one.record, one.encryption) for one in found.columns] == [
        ("/lastName", "last", "deterministic"),
        ("/address", "address_1", "randomized"),
    ]
    assert (found.keys[0].master_key, found.keys[0].encrypted_value) == (VAULT, "AAAA")
    assert codes(draft) == {"type-assumed"}


@pytest.mark.parametrize(
    ("of", "change", "what"),
    [
        ("policy", {"policyFormatVersion": 3}, "format version 3"),
        ("policy", {"includedPaths": [{"path": "/a/b"}]}, "not one of Cosmos DB"),
        ("path", {"encryptionType": "Plain"}, "no path of the container"),
        ("path", {"clientEncryptionKeyId": "key9"}, "no path of the container"),
        ("key", {"wrappedDataEncryptionKey": "not base64"}, "no path of the container"),
        ("metadata", {"type": "CUSTOM"}, "no path of the container"),
    ],
)
def test_another_container_is_refused(tmp_path: Path, of: str, change: dict[str, Any], what: str) -> None:
    document = json.loads(json.dumps({"container": CONTAINER, "clientEncryptionKeys": [KEY]}))
    policy, key = document["container"]["clientEncryptionPolicy"], document["clientEncryptionKeys"][0]
    del policy["includedPaths"][1]
    parts = {"policy": policy, "path": policy["includedPaths"][0], "key": key, "metadata": key["keyWrapMetadata"]}
    parts[of].update(change)
    with pytest.raises(SpecError, match=what):
        drafted(tmp_path, document)


def test_a_path_of_a_policy_becomes_a_pointer(tmp_path: Path) -> None:
    """A policy has the name of a property behind its slash, columns.toml a JSON Pointer, where ~ begins an escape."""
    document = json.loads(json.dumps({"container": CONTAINER, "clientEncryptionKeys": [KEY]}))
    del document["container"]["clientEncryptionPolicy"]["includedPaths"][1]
    document["container"]["clientEncryptionPolicy"]["includedPaths"][0]["path"] = "/home~1tel"
    (column,) = drafted(tmp_path, document).columns
    assert column.name == "/home~01tel"
    leaf = base64.b64encode(cell("A", marker=5)).decode()
    found = Documents([{"home~1tel": leaf}], columns_file((column.name, "SOC"), form="cosmos_db"))
    assert found.table.to_pydict() == {column.name: [cell("A", marker=5)]}


def test_a_container_without_its_keys(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no client encryption keys") as refused:
        drafted(tmp_path, CONTAINER)
    assert "--keys" in refused.value.remedy
    with pytest.raises(SpecError, match="--keys is for Cosmos DB"):
        drafted(tmp_path, catalogue(), keys=tmp_path / "export.json")


@pytest.mark.vectors
@pytest.mark.skipif("CJI_VECTORS" not in os.environ, reason="CJI_VECTORS is not set: no containers of Cosmos DB")
@pytest.mark.parametrize("name", ["v1", "v2"])
def test_containers_that_the_sdk_used(tmp_path: Path, name: str) -> None:
    found = json.loads((Path(os.environ["CJI_VECTORS"]) / "columns" / "cosmos_documents.json").read_text())
    container, keys = found["containers"][name], list(found["clientEncryptionKeys"].values())

    draft = drafted(tmp_path, {"container": container, "clientEncryptionKeys": keys})

    paths = [each["path"] for each in container["clientEncryptionPolicy"]["includedPaths"]]
    assert [each.name for each in draft.columns] == paths
    assert {key.name for key in draft.keys} <= {key["id"] for key in keys}


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), min_size=1, unique=True))
def test_any_name_of_a_catalogue_is_kept_in_toml(names: list[str]) -> None:
    """A name cannot add a line, a table or a comment to the file: it is read back as it was, or refused."""
    key = DraftKey(name="CEK", master_key=VAULT, provider="cng", encrypted_value="00")
    columns = [DraftColumn(name=each, type=SqlType("int"), encryption="randomized", key="CEK") for each in names[:64]]
    text = Draft(format="sql_server", table="t", keys=[key], columns=columns).text("person/1", "k.json")
    for position in range(text.count('record = ""')):
        text = text.replace('record = ""', f'record = "x{position}"\ndata_class = "case"', 1)
    text = text.replace('rights = ["open"]', 'rights = ["seal"]')

    found = decode_columns(text.encode())
    assert [one.name for one in found.columns] == names[:64]


def test_one_column_of_the_records_once() -> None:
    assert proposals(["last", "LastName", "/surname", "Date Of Birth", "X"], "person/1") == ["last", "", "", "DOB", ""]
    assert proposals(["SSN", "case"], "chri_event/2") == ["", "case"]
