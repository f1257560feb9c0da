"""A columns.toml as `describe` writes it, from what an export states; people complete it.

What the export cannot state is left for a person: which column of the records a column is, where its name does not show
it, and what a job may do with it. A finding is what a person should know before keys are made.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from cji_core.command.json_output import member
from cji_core.format.columns import SqlType
from cji_core.format.records import SCHEMAS

_SYNONYMS: Final = {
    "recordid": "record_id",
    "fullname": "NAM",
    **dict.fromkeys(("lastname", "surname", "familyname"), "last"),
    **dict.fromkeys(("firstname", "givenname", "forename"), "first"),
    "middlename": "middle",
    "namesuffix": "suffix",
    **dict.fromkeys(("sex", "gender"), "SEX"),
    "race": "RAC",
    "ethnicity": "ETN",
    **dict.fromkeys(("dateofbirth", "birthdate", "birthday"), "DOB"),
    **dict.fromkeys(("placeofbirth", "birthplace"), "POB"),
    "height": "HGT",
    "weight": "WGT",
    "eyecolor": "EYE",
    "haircolor": "HAI",
    **dict.fromkeys(("ssn", "socialsecuritynumber", "socialsecurity"), "SOC"),
    **dict.fromkeys(("driverlicense", "driverslicense", "driverlicensenumber", "licensenumber"), "OLN"),
    **dict.fromkeys(("fbinumber", "ucn"), "FBI"),
    **dict.fromkeys(("stateid", "stateidnumber"), "SID"),
    **dict.fromkeys(("street", "address", "address1", "addressline1"), "address_1"),
    **dict.fromkeys(("address2", "addressline2"), "address_2"),
    **dict.fromkeys(("zip", "zipcode", "postalcode"), "postcode"),
}
"""Columns of records by names that databases use, in lower case without blanks and underscores."""
_FEW: Final = frozenset(("SEX", "RAC", "ETN", "EYE", "HAI", "SKN", "state", "country"))
"""Columns of records with few values."""
_FEW_TYPES: Final = frozenset(("bit", "tinyint", "bool"))
_FEW_CHARACTERS: Final = 2


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about the encrypted columns that a person should know before keys are made for a worker."""

    code: Annotated[str, member("a short name that never changes")]
    subject: Annotated[str, member("the key or the column")]
    text: Annotated[str, member("what was found, and what to do")]


@dataclass(frozen=True, kw_only=True)
class DraftKey:
    """A column encryption key; `others` are values of it under other master keys."""

    name: str
    master_key: str
    provider: str
    encrypted_value: str
    others: tuple["DraftKey", ...] = ()


@dataclass(frozen=True, kw_only=True)
class DraftColumn:
    """An encrypted column."""

    name: str
    type: SqlType
    encryption: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One table."""

    format: str
    table: str
    keys: Sequence[DraftKey]
    columns: Sequence[DraftColumn]
    findings: list[Finding] = field(default_factory=list)

    def text(self, schema: str, keys_file: str) -> str:
        """columns.toml for records of this schema."""
        records = proposals([column.name for column in self.columns], schema)
        head = ["# Written from an export. Complete `record` and `rights`; see `cji columns --help`."]
        head += [_line("format", self.format), _line("table", self.table), _line("schema", schema)]
        lines = ["\n".join([*head, _line("keys_file", keys_file)])]
        lines += ["\n".join(_key(key)) for key in self.keys]
        for column, record in zip(self.columns, records, strict=True):
            hint = "" if record else f"  # a column of {schema}, or remove this entry"
            lines.append(
                "\n".join(
                    (
                        "[[columns]]",
                        _line("name", column.name),
                        _line("record", record) + hint,
                        _line("type", str(column.type)),
                        _line("encryption", column.encryption),
                        _line("key", column.key),
                        'rights = ["open"]',
                    )
                )
            )
        return "\n\n".join(lines) + "\n"

    def all_findings(self, schema: str) -> list[Finding]:
        """Those of the export, and those that follow from what the columns are."""
        records = proposals([column.name for column in self.columns], schema)
        classes = SCHEMAS[schema].columns
        known = [
            (column.key, record, classes[record].data_class.value)
            for column, record in zip(self.columns, records, strict=True)
            if record
        ]
        few = [
            _few(column.name)
            for column, record in zip(self.columns, records, strict=True)
            if column.encryption == "deterministic" and _has_few(column.type, record)
        ]
        return [*self.findings, *several_classes(known), *few]


def proposals(names: Sequence[str], schema: str) -> list[str]:
    """For each name of a column the column of the records that it seems to be, empty where that is open."""
    columns = SCHEMAS[schema].columns
    by_name = {_plain(name): name for name in columns}
    found = list[str]()
    for name in names:
        plain = _plain(name.rpartition("/")[2])
        proposed = by_name.get(plain) or _SYNONYMS.get(plain, "")
        found.append(proposed if proposed in columns and proposed not in found else "")
    return found


def several_classes(columns: Iterable[tuple[str, str, str]]) -> Iterator[Finding]:
    """Keys of columns of several classes of data; `columns` are key, column of the records, class."""
    classes = dict[str, dict[str, str]]()
    for key, record, data_class in columns:
        classes.setdefault(key, {}).setdefault(data_class, record)
    for key, of in classes.items():
        if len(of) > 1:
            named = ", ".join(f"{data_class} ({record})" for data_class, record in sorted(of.items()))
            text = f"It is the key of several classes of data: {named}. Give each its own."
            yield Finding(code="key-of-several-classes", subject=key, text=text)


def printable(text: str) -> str:
    """Text of a stranger on one line."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _few(name: str) -> Finding:
    text = "It is deterministic, and its type or meaning has few values: equal cells tell who shares one. Randomize it."
    return Finding(code="deterministic-few-values", subject=printable(name), text=text)


def _has_few(kind: SqlType, record: str) -> bool:
    short = kind.length is not None and kind.length <= _FEW_CHARACTERS
    return kind.name in _FEW_TYPES or short or record in _FEW


def _key(key: DraftKey) -> Iterator[str]:
    members = ("name", "master_key", "provider", "encrypted_value")
    yield "[[keys]]"
    yield from (_line(name, getattr(key, name)) for name in members)
    for other in key.others:
        yield "# or, under another master key:"
        yield from (f"# {_line(name, getattr(other, name))}" for name in members[1:])


def _line(name: str, value: str) -> str:
    """A member of TOML: JSON's strings are basic strings of TOML, but for DEL."""
    return f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", name).lower()
