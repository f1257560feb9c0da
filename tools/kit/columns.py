"""Cases about column keys (§13): headers that carry them, the agency's key that signed them, the worker's key."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.headers import CREATED, KEK_ID, Change, Job, put
from tools.kit.secrets import worker_key
from tools.kit.writer import Signer, box, chance, data_key, sha384, thumbprint

PATH: Final = "https://vectors.vault.azure.net/keys/always-encrypted/" + "0123456789abcdef" * 2
LIFETIME: Final = 365 * 86400
CEKS: Final = tuple(chance(f"CEK {n}", 32) for n in range(2))
Stated = Callable[[pb.ColumnKeyStatement], object]
Sent = Callable[[pb.ColumnKeys], object]


class Keys(NamedTuple):
    """The column keys of a header, and what was computed on the way."""

    message: pb.ColumnKeys
    steps: dict[str, str]


def agency(*, hybrid: bool) -> Signer:
    """The key that signs statements."""
    return Signer("agency", hybrid)


def columns_job(*, hybrid: bool) -> Job:
    """The makings of a header with column keys."""
    return Job(f"columns of {'hybrid-1' if hybrid else 'classical-1'}", hybrid)


def statement(job: Job, *changes: Stated) -> pb.ColumnKeyStatement:
    """A deterministic column that results may be sealed as, and a randomized one, with changes made to it."""
    made = pb.ColumnKeyStatement(
        version=1,
        format=pb.SQL_SERVER,
        table="vectors.dbo.Persons",
        keys=[pb.ColumnEncryptionKey(key_path=PATH, cek_sha384=sha384(cek)) for cek in CEKS],
        columns=[
            column("SOC", "char(11) cp1252", "biographic", [1, 2, 3], encryption=pb.DETERMINISTIC, key=1),
            column("last", "nvarchar(60)", "biographic", [pb.OPEN]),
        ],
        originating_ori="WI0130000",
        purpose_codes=["C"],
        submitters=[thumbprint(job.signer.jwk)],
        signer=thumbprint(agency(hybrid=job.hybrid).jwk),
        suite=pb.HYBRID_1 if job.hybrid else pb.CLASSICAL_1,
        kek_id=KEK_ID,
        created=Timestamp(seconds=CREATED),
        not_after=Timestamp(seconds=CREATED + LIFETIME),
    )
    for change in changes:
        change(made)
    return made


def column(
    name: str, kind: str, data_class: str, rights: list[int], *, encryption: int = pb.RANDOMIZED, key: int = 0
) -> pb.StatedColumn:
    """The entry of a column."""
    return pb.StatedColumn(
        column=name,
        type=kind,
        data_class=data_class,
        encryption=encryption,  # type: ignore[arg-type]
        rights=rights,  # type: ignore[arg-type]
        key=key,
    )


def column_keys(
    job: Job, data: bytes, *, ceks: tuple[bytes, ...] = CEKS, signer: Signer | None = None, purpose: bytes = b""
) -> Keys:
    """These bytes of a statement with its keys sealed, and signed; `purpose` stands in place of that of the box."""
    signer = signer or agency(hybrid=job.hybrid)
    key = data_key(f"{job.name}/agency", hybrid=job.hybrid)
    purpose = purpose or b"column-keys\0" + sha384(data)
    sealed = box(key.key, purpose, b"".join(ceks), chance(f"{job.name}/column keys", 12))
    message = b"cji-column-keys/1\0" + sha384(data) + sha384(key.wrapped + sealed)
    steps = {"key": key.key.hex()} | key.steps | {"message": message.hex()}
    if job.hybrid:
        steps["prepared"] = signer.prepared(message).hex()
    made = pb.ColumnKeys(statement=data, wrapped_key=key.wrapped, sealed_keys=sealed, signature=signer.sign(message))
    return Keys(made, steps)


def header(job: Job, keys: pb.ColumnKeys, *changes: Change) -> bytes:
    """A header whose input has two sealed columns, and whose result one."""
    rules = [pb.ColumnRule(column="SOC", keep=pb.Keep()), pb.ColumnRule(column="last", drop=pb.Drop())]
    first = put(
        inputs=[pb.InputPart(name="records", schema="person/1", sealed_columns=["SOC", "last"])],
        operations=[pb.Operation(deidentify=pb.Deidentify(columns=rules))],
        size_class=pb.POWER_OF_TWO,
        column_keys=[keys],
        sealed_outputs=[pb.SealedOutput(output="result", column="SOC", as_column="SOC")],
    )
    return job.header(first, *changes)


def canonical(message: pb.ColumnKeyStatement) -> bytes:
    """Its one encoding."""
    return message.SerializeToString(deterministic=True)


# ---------------------------------------------------------------- the cases


def _set(**fields: object) -> Stated:
    def change(message: pb.ColumnKeyStatement) -> None:
        for name, value in fields.items():
            message.ClearField(name)
            if isinstance(value, list):
                getattr(message, name).extend(value)
            elif isinstance(value, Timestamp):
                getattr(message, name).CopyFrom(value)
            elif value is not None:
                setattr(message, name, value)

    return change


def _column(**fields: object) -> Stated:
    """Other fields of the column `last`."""

    def change(message: pb.ColumnKeyStatement) -> None:
        for name, value in fields.items():
            if isinstance(value, list):
                message.columns[1].ClearField(name)
                getattr(message.columns[1], name).extend(value)
            else:
                setattr(message.columns[1], name, value)

    return change


def _rights(*rights: int) -> Stated:
    """Other rights to the column `SOC`."""

    def change(message: pb.ColumnKeyStatement) -> None:
        message.columns[0].ClearField("rights")
        message.columns[0].rights.extend(rights)  # type: ignore[arg-type]

    return change


def _key(**fields: Any) -> Stated:
    """Other fields of the first key."""

    def change(message: pb.ColumnKeyStatement) -> None:
        for name, value in fields.items():
            setattr(message.keys[0], name, value)

    return change


def _input(**fields: Any) -> Change:
    part = {"name": "records", "schema": "person/1", "sealed_columns": ["SOC", "last"]}
    return put(inputs=[pb.InputPart(**(part | fields))])


def _sealed(*columns: tuple[str, str, str], keys: int = 0) -> Change:
    """Sealed outputs: of each its output, its column, and the column that it is sealed as."""
    made = [pb.SealedOutput(output=of, column=name, as_column=way, column_keys=keys) for of, name, way in columns]
    return put(sealed_outputs=made)


_TYPES: Final = (
    "bit", "tinyint", "smallint", "int", "bigint", "real", "float", "money", "smallmoney", "date", "datetime",
    "smalldatetime", "uniqueidentifier", "decimal(1,0)", "decimal(38,38)", "numeric(9,2)", "time(0)", "datetime2(7)",
    "datetimeoffset(3)", "nchar(1)", "nvarchar(4000)", "nvarchar(max)", "binary(8000)", "varbinary(1)",
    "varbinary(max)",
    "char(8000) cp437", "varchar(1) utf-8", "varchar(max) cp1258",
)  # fmt: skip
_COSMOS: Final = ("string", "long", "double", "bool")
_NO_TYPES: Final = (
    "", "INT", "int ", "integer", "text", "decimal", "decimal(39,0)", "decimal(9,10)", "decimal(0,0)", "decimal(09,2)",
    "decimal(9, 2)", "numeric(9)", "time", "time(8)", "datetime2(-1)", "nchar(0)", "nchar(4001)", "nchar(max)",
    "nvarchar(4001)", "nvarchar(60) cp1252", "binary(8001)", "binary(max)", "char(11)", "char(11) cp1259",
    "char(8001) cp1252", "char(11)  cp1252", "varchar(max)", "int(4)", "date cp1252",
)  # fmt: skip


def _every_type(message: pb.ColumnKeyStatement) -> None:
    """A column of each type behind the two, and one of the longest name."""
    rest = [*((f"t{n:02}", text) for n, text in enumerate(_TYPES)), ("x" * 64, "date")]
    message.columns.extend(column(name, text, "none", [pb.OPEN]) for name, text in rest)


def _cosmos_db(message: pb.ColumnKeyStatement) -> None:
    """A table of Cosmos DB, with each of its types."""
    message.format = pb.COSMOS_DB
    for each in message.columns:
        each.type = "string"
    message.columns.extend(column(f"t{n}", text, "none", [pb.OPEN]) for n, text in enumerate(_COSMOS))


_VALID: Final[dict[str, Stated]] = {
    "every type of Cosmos DB": _cosmos_db,
    "every type of SQL Server": _every_type,
    "32 purposes": _set(purpose_codes=["C", *(f"P{n:02}" for n in range(31))]),
    "a table of 256 bytes": _set(table="é" * 128),
    "every right": _column(rights=[1, 2, 3]),
    "keys of different paths": _key(key_path="another path"),
    "as long as the job": _set(not_after=Timestamp(seconds=CREATED + 3600)),
}
"""Statements that are valid, by name: what was changed."""


def _statements() -> Iterator[tuple[str, str, Stated]]:
    """Statements with one fault: a name, the rule, the change."""
    yield "a statement of version 2", "version of a statement", _set(version=2)
    for number in (None, 3):
        yield f"format {number or 0}", "format", _set(format=number)
        yield f"suite {number or 0} of a statement", "suite of a statement", _set(suite=number)
    for name, table in {
        "without a table": None,
        "of 257 bytes": "t" * 257,
        "with a tab": "a\tb",
        "ending": "t ",
    }.items():
        rule = {None: "empty text", "t" * 257: "text length"}.get(table, "text characters")
        yield f"a table {name}", rule, _set(table=table)
    yield "an ORI of another prefix in a statement", "originating_ori of a statement", _set(originating_ori="ZZ0130000")
    yield "a kek_id over http in a statement", "kek_id", _set(kek_id=KEK_ID.replace("https", "http"))
    yield "a signer of 31 bytes", "signer", _set(signer=bytes(31))
    yield "no purposes", "number of purposes", _set(purpose_codes=[])
    yield "33 purposes", "number of purposes", _set(purpose_codes=[f"P{n:02}" for n in range(33)])
    yield "a purpose in lower case", "purpose code of a statement", _set(purpose_codes=["c"])
    yield "purposes that descend", "order of purposes", _set(purpose_codes=["F", "C"])
    yield "a purpose twice", "order of purposes", _set(purpose_codes=["C", "C"])
    yield "no submitters", "number of submitters", _set(submitters=[])
    yield "33 submitters", "number of submitters", _set(submitters=[bytes([n]) * 32 for n in range(33)])
    yield "a submitter of 31 bytes in a statement", "submitter of a statement", _set(submitters=[bytes(31)])
    yield "submitters that descend", "order of submitters", _set(submitters=[b"\1" * 32, bytes(32)])
    for which in ("created", "not_after"):
        yield f"a statement without {which}", "times of a statement", _set(**{which: None})
        late = Timestamp(seconds=1 << 50)
        yield f"{which} of a statement beyond the year 9999", "seconds", _set(**{which: late})
        parted = Timestamp(seconds=CREATED + (which == "not_after") * LIFETIME, nanos=1)
        yield f"a fraction in {which} of a statement", "whole seconds", _set(**{which: parted})
    yield "a statement that ends as it begins", "created before not_after", _set(not_after=Timestamp(seconds=CREATED))


def _stated_keys() -> Iterator[tuple[str, str, Stated]]:
    """Statements with a fault in their keys or columns."""
    yield "no keys", "number of column keys", _set(keys=[])
    many = [pb.ColumnEncryptionKey(key_path=PATH, cek_sha384=bytes([n]) * 48) for n in range(17)]
    yield "17 keys", "number of column keys", _set(keys=many)
    yield "a digest of 47 bytes", "cek_sha384", _key(cek_sha384=bytes(47))
    yield "one key twice", "a column key twice", _key(cek_sha384=sha384(CEKS[1]))
    yield "a key without a path", "empty text", _key(key_path="")
    yield "a path of 257 bytes", "text length", _key(key_path="p" * 257)
    yield "a key of no column", "keys of columns", _column(key=1)
    yield "a column of a third key", "keys of columns", _column(key=2)
    yield "no columns", "keys of columns", _set(columns=[])
    names = [f"c{n:02}" for n in range(65)]
    most = [column(name, "date", "date", [pb.OPEN], key=n % 2) for n, name in enumerate(names)]
    yield "65 columns", "number of columns", _set(columns=most)
    yield "columns that descend", "order of columns", _column(column="RAC")
    yield "a column twice", "order of columns", _column(column="SOC")
    yield "a column with a blank in its name", "name of a column", _column(column="last name")
    yield "a column of 65 characters", "name of a column", _column(column="x" * 65)
    yield "a class of data that no schema has", "data class", _column(data_class="names")
    for number in (0, 3):
        yield f"encryption {number}", "encryption", _column(encryption=number)
    yield "no rights", "rights", _column(rights=[])
    yield "right 4", "rights", _column(rights=[1, 4])
    yield "rights that descend", "order of rights", _column(rights=[2, 1])
    yield "a right twice", "order of rights", _column(rights=[1, 1])
    yield "a type of Cosmos DB", "type of another format", _column(type="string")
    for text in _NO_TYPES:
        yield f"the type {text!r}", "type of a column", _column(type=text)


def _headers() -> Iterator[tuple[str, str, Change]]:
    """Faults in the header itself."""
    yield "size class EXACT with column keys", "size_class with column keys", put(size_class=pb.EXACT)
    yield "65 sealed columns", "number of sealed columns", _input(sealed_columns=[f"c{n:02}" for n in range(65)])
    yield "a sealed column with a dot", "name of a sealed column", _input(sealed_columns=["a.b"])
    yield "sealed columns that descend", "order of sealed columns", _input(sealed_columns=["last", "SOC"])
    yield "a sealed column twice", "order of sealed columns", _input(sealed_columns=["SOC", "SOC"])
    yield "column keys of a fifth statement", "column keys that are used", _input(column_keys=4)
    yield "no column keys", "column keys that are used", put(column_keys=[])
    most = [("result", f"c{n:02}", "SOC") for n in range(65)]
    yield "65 sealed outputs", "number of sealed outputs", _sealed(*most)
    yield "a sealed output in upper case", "name of a sealed output", _sealed(("Result", "SOC", "SOC"))
    yield "a sealed output of no column", "column of a sealed output", _sealed(("result", "", "SOC"))
    yield "an output sealed as no column", "column of a sealed output", _sealed(("result", "SOC", ""))
    two = (("result", "SOC", "SOC"), ("result", "OLN", "SOC"))
    yield "sealed outputs that descend", "order of sealed outputs", _sealed(*two)
    yield "a sealed output twice", "order of sealed outputs", _sealed(two[0], two[0])


def _sent(good: pb.ColumnKeys) -> Iterator[tuple[str, str, pb.ColumnKeys]]:
    """Faults around a statement."""
    for name, rule, change in (
        ("a wrapped key of 255 bytes", "wrapped_key", {"wrapped_key": bytes(255)}),
        ("sealed keys a byte short", "sealed_keys", {"sealed_keys": good.sealed_keys[1:]}),
        ("sealed keys of three", "sealed_keys", {"sealed_keys": good.sealed_keys + bytes(32)}),
        ("no signature", "signature of column keys", {"signature": b""}),
        ("a signature of 8193 bytes", "signature of column keys", {"signature": bytes(8193)}),
        ("a statement of no bytes", "message length", {"statement": b""}),
        ("a statement a byte short", "not protobuf", {"statement": good.statement[:-1]}),
        (
            "an unknown field in a statement",
            "not canonical, or unknown fields",
            {"statement": good.statement + bytes.fromhex("c20c00")},
        ),
        (
            "fields of a statement in another order",
            "not canonical, or unknown fields",
            {"statement": good.statement[2:] + good.statement[:2]},
        ),
    ):
        wrong = pb.ColumnKeys()
        wrong.CopyFrom(good)
        for field, value in change.items():
            setattr(wrong, field, value)
        yield name, rule, wrong


def _uses() -> Iterator[tuple[str, str, Stated | None, Change]]:
    """Headers that are well formed and use the keys as their statement does not allow."""
    ends = Timestamp(seconds=CREATED + 3599)
    yield (
        "a statement of another agency",
        "the statement is of another agency",
        _set(originating_ori="WI0140000"),
        put(),
    )
    yield "a statement for other purposes", "the statement is for other purposes", _set(purpose_codes=["F"]), put()
    yield (
        "a statement for other submitters",
        "the statement is for other submitters",
        _set(submitters=[bytes(32)]),
        put(),
    )
    key = KEK_ID.replace("cji-vectors", "cji-other")
    yield "a statement for another key", "the statement is for another key of a worker", _set(kek_id=key), put()
    future = _set(created=Timestamp(seconds=CREATED + 61))
    yield "a statement of the future", "the statement is of the future", future, put()
    yield "a statement that ends before the job", "the statement ends before the job may", _set(not_after=ends), put()
    stated = "a sealed column is not stated, or not one of the schema"
    yield "a sealed column that is not stated", stated, None, _input(sealed_columns=["OLN", "last"])
    yield "a column of another class", "a column has another class of data", _column(data_class="case"), put()
    yield "a column without OPEN", "a column may not be opened", _column(rights=[pb.SEAL]), put()
    sealed = "a result may not be sealed so"
    looked_up = "a result may not be looked up in a column without the right compare"
    yield "a result looked up in a column without COMPARE", looked_up, _rights(pb.OPEN, pb.SEAL), put()
    yield "a result sealed as a column without SEAL", sealed, None, _sealed(("result", "SOC", "last"))
    yield "a result sealed as a column of no statement", sealed, None, _sealed(("result", "SOC", "OLN"))


def cases() -> Iterator[Case]:
    """Every case about column keys."""
    for hybrid in (False, True):
        yield from _of_suite(columns_job(hybrid=hybrid))


def _of_suite(job: Job) -> Iterator[Case]:
    suite, data = job.suite, canonical(statement(job))
    given: dict[str, Any] = {"agency_jwk": agency(hybrid=job.hybrid).jwk, "worker_key": worker_key()}
    good = column_keys(job, data)

    def valid(name: str, keys: Keys, ceks: tuple[bytes, ...], *changes: Change) -> Case:
        expected = {"ceks": [cek.hex() for cek in ceks], "statement_sha384": sha384(keys.message.statement).hex()}
        return Case.valid(
            name, expected=expected | keys.steps, header=header(job, keys.message, *changes).hex(), **given
        )

    def broken(name: str, rule: str, reason: str, keys: pb.ColumnKeys, *changes: Change, base: str = suite) -> Case:
        return Case.broken(name, rule, reason, made_from=base, header=header(job, keys, *changes).hex(), **given)

    yield valid(suite, good, CEKS)
    yield from _unopened(job, broken)
    if job.hybrid:
        return
    for name, change in _VALID.items():
        yield valid(name, column_keys(job, canonical(statement(job, change))), CEKS)
    yield valid("no sealed output", good, CEKS, put(sealed_outputs=[]))
    for name, rule, stated in (*_statements(), *_stated_keys()):
        yield broken(name, rule, "MALFORMED_HEADER", column_keys(job, canonical(statement(job, stated))).message)
    for name, rule, sent in _sent(good.message):
        yield broken(name, rule, "MALFORMED_HEADER", sent)
    for name, rule, changed in _headers():
        yield broken(name, rule, "MALFORMED_HEADER", good.message, changed)
    other = _input(column_keys=1)
    twice = put(column_keys=[good.message, good.message])
    yield broken("a statement twice", "a statement twice", "MALFORMED_HEADER", good.message, twice, other)
    for name, rule, use, changed in _uses():
        keys = good if use is None else column_keys(job, canonical(statement(job, use)))
        yield broken(name, rule, "POLICY_DENIED", keys.message, changed)


def _unopened(job: Job, broken: Callable[..., Case]) -> Iterator[Case]:
    """Of both suites: signatures of another key or message, and keys that do not open with their statement."""
    data, signer = canonical(statement(job)), agency(hybrid=job.hybrid)
    good = column_keys(job, data).message
    unsigned = "the policy's signing_key did not sign the statement"

    def sent(name: str, rule: str, reason: str, **fields: bytes) -> Case:
        wrong = pb.ColumnKeys()
        wrong.CopyFrom(good)
        for field, value in fields.items():
            setattr(wrong, field, value)
        return broken(f"{job.suite}, {name}", rule, reason, wrong)

    def resigned(wrapped: bytes, sealed: bytes) -> bytes:
        return signer.sign(b"cji-column-keys/1\0" + sha384(data) + sha384(wrapped + sealed))

    stranger = column_keys(job, data, signer=Signer("stranger", job.hybrid)).message.signature
    yield sent("signed by another key", unsigned, "POLICY_DENIED", signature=stranger)
    alone = signer.sign(b"cji-column-keys/1\0" + sha384(data))
    yield sent("a signature of the statement alone", unsigned, "POLICY_DENIED", signature=alone)
    flipped = good.sealed_keys[:-1] + bytes([good.sealed_keys[-1] ^ 1])
    yield sent("other sealed keys behind the signature", unsigned, "POLICY_DENIED", sealed_keys=flipped)
    other = column_keys(job, canonical(statement(job, _set(table="vectors.dbo.Others")))).message.sealed_keys
    for name, wrong in {
        "a box whose tag was changed": flipped,
        "the box of another statement": other,
        "a box for another purpose": column_keys(job, data, purpose=b"attribution").message.sealed_keys,
        "the keys in another order": column_keys(job, data, ceks=CEKS[::-1]).message.sealed_keys,
        "a key that is not the stated one": column_keys(job, data, ceks=(CEKS[0], bytes(32))).message.sealed_keys,
    }.items():
        signature = resigned(good.wrapped_key, wrong)
        yield sent(name, "sealed_keys", "DEK_UNWRAP_FAILED", sealed_keys=wrong, signature=signature)
    changed = good.wrapped_key[:-1] + bytes([good.wrapped_key[-1] ^ 1])
    signature = resigned(changed, good.sealed_keys)
    yield sent(
        "a wrapped key that was changed", "wrapped_key", "DEK_UNWRAP_FAILED", wrapped_key=changed, signature=signature
    )
