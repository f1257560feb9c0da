"""Containers as an agency's Cosmos DB gives them: documents whose person properties @azure/cosmos has sealed.

The records are those of examples/. Below a property that the container's policy names, every leaf is sealed on its own.
"""

import csv
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cji_core.format.records import SCHEMAS
from tests.support.always_encrypted import Cosmos
from tests.support.paths import ROOT

__all__ = ["CONTAINERS", "Container", "Leaf"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a column of the records is in a document: a path, with the type of its values there."""

    path: str
    type: str = "string"
    deterministic: bool = False

    @property
    def steps(self) -> list[str]:
        """Names from the top."""
        return self.path[1:].split("/")

    @property
    def encryption(self) -> str:
        """As columns.toml has it."""
        return "deterministic" if self.deterministic else "randomized"


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container: a file of examples/, its schema, sealed leaves, and leaves in clear, by column."""

    file: str
    schema: str
    leaves: dict[str, Leaf]
    clear: dict[str, Leaf]
    rights: tuple[str, ...] = ("open",)
    version: int = 1
    database: str = "cjis"
    ceks: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In the database."""
        folder, file = self.file.split("/")
        return f"{self.database}/{folder}_{file.partition('.')[0]}"

    def data_class(self, column: str) -> str:
        """That of the record schema."""
        return SCHEMAS[self.schema].columns[column].data_class.value

    def cek(self, column: str) -> bytes:
        """The key of a column: one for each class of data."""
        return self.ceks.setdefault(self.data_class(column), secrets.token_bytes(32))

    def key_name(self, column: str) -> str:
        """The id of that key in the database."""
        return "cek-" + self.data_class(column).replace(" ", "-")

    @property
    def policy(self) -> dict[str, Any]:
        """The container's clientEncryptionPolicy."""
        tops = {leaf.steps[0]: (column, leaf) for column, leaf in self.leaves.items()}
        paths = [
            {
                "path": f"/{top}",
                "clientEncryptionKeyId": self.key_name(column),
                "encryptionType": leaf.encryption.capitalize(),
                "encryptionAlgorithm": "AEAD_AES_256_CBC_HMAC_SHA256",
            }
            for top, (column, leaf) in tops.items()
        ]
        return {"policyFormatVersion": self.version, "includedPaths": paths}

    def documents(self) -> list[dict[str, Any]]:
        """The records as documents in clear; a missing value is null."""
        with (ROOT / "examples" / self.file).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        made = []
        for number, row in enumerate(rows):
            document: dict[str, Any] = {"id": str(number)}
            for column, leaf in (self.clear | self.leaves).items():
                at = document
                for step in leaf.steps[:-1]:
                    at = at.setdefault(step, {})
                at[leaf.steps[-1]] = _value(row[column], leaf.type)
            made.append(document)
        return made

    def plain(self) -> pa.Table:
        """The records as a table, its columns in the order in which the leaves of documents are sent."""
        documents, leaves = self.documents(), self.leaves | self.clear
        return pa.table({column: [_at(each, leaf.steps) for each in documents] for column, leaf in leaves.items()})

    def write(self, folder: Path, writer: Cosmos, keys: list[dict[str, Any]]) -> Path:
        """sealed.jsonl in this folder: what a client without encryption reads from the container."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "sealed.jsonl"
        sealed = writer.seal(self.documents(), self.policy, keys)
        path.write_text("".join(f"{json.dumps(each)}\n" for each in sealed), encoding="utf-8")
        return path


def _at(document: dict[str, Any], steps: list[str]) -> Any:
    for step in steps:
        document = document[step]
    return document


def _value(text: str, kind: str) -> str | int | bool | None:
    if text == "":
        return None
    return {"string": str, "long": int, "bool": lambda word: word == "true"}[kind](text)  # type: ignore[no-any-return,operator]


_PERSON: Final = {
    "last": Leaf("/name/last"),
    "first": Leaf("/name/first"),
    "DOB": Leaf("/birth"),
    "SEX": Leaf("/sex"),
    "SOC": Leaf("/ssn", deterministic=True),
    "postcode": Leaf("/home/zip"),
}

CONTAINERS: Final = {
    "link": Container(file="link/people.csv", schema="person/1", leaves=_PERSON, clear={"record_id": Leaf("/id")}),
    "validate": Container(
        file="persons/people.csv",
        schema="person/1",
        leaves={
            "NAM": Leaf("/name"),
            "SEX": Leaf("/looks/sex"),
            "HGT": Leaf("/looks/height", "long"),
            "WGT": Leaf("/looks/weight", "long"),
            "DOB": Leaf("/birth"),
            "SOC": Leaf("/numbers/ssn"),
            "OLN": Leaf("/numbers/licence"),
        },
        clear={"record_id": Leaf("/number"), "RAC": Leaf("/race"), "EYE": Leaf("/eyes"), "OLS": Leaf("/state")},
    ),
    "disseminate": Container(
        file="disseminate/events.csv",
        schema="chri_event/1",
        leaves={
            "subject": Leaf("/subject", deterministic=True),
            "charge": Leaf("/charge/text"),
            "date": Leaf("/charge/date"),
            "disposition": Leaf("/outcome/kind"),
            "disposition_date": Leaf("/outcome/date"),
            **{name: Leaf(f"/flags/{name}", "bool") for name in ("sealed", "expunged", "juvenile", "non_conviction")},
        },
        clear={"event": Leaf("/event"), "level": Leaf("/level")},
    ),
    "standardize": Container(
        file="standardize/people.csv",
        schema="person/1",
        leaves={
            "record_id": Leaf("/id", deterministic=True),
            "NAM": Leaf("/name"),
            "DOB": Leaf("/birth"),
            "address_1": Leaf("/home/street"),
            "state": Leaf("/home/state"),
        },
        clear={"postcode": Leaf("/zip")},
        version=2,
    ),
}
"""By operation."""
