"""Cases about a job header (§1): the encoding, and the rules of each field."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.writer import Recipient, Signer, box, chance, data_key, key_id, rsa_jwk, rsa_key, thumbprint

KEK_ID: Final = "https://vectors.vault.azure.net/keys/cji-vectors/" + "0123456789abcdef" * 2
CREATED: Final = 1_795_694_400  # 2026-11-26T12:00:00Z
Change = Callable[[pb.JobHeader], object]


@dataclass(frozen=True)
class Job:
    """The parties and secrets of a header."""

    name: str
    hybrid: bool

    @property
    def suite(self) -> str:
        """As claims write it."""
        return "hybrid-1" if self.hybrid else "classical-1"

    @property
    def signer(self) -> Signer:
        """The submitter's key."""
        return Signer("submitter", self.hybrid)

    @property
    def recipient(self) -> Recipient:
        """The one recipient."""
        return Recipient("recipient", self.hybrid)

    def attribution(self) -> bytes:
        """The plaintext of sealed_attribution."""
        message = pb.Attribution(
            operator_id="jdoe", requestor="Det. Muñoz", case_number="2026-000123", reason="Extract for study 17"
        ).SerializeToString(deterministic=True)
        return message + bytes(-len(message) % 256)

    def message(self, *changes: Change) -> pb.JobHeader:
        """The header, with changes made to it."""
        key = data_key(self.name, hybrid=self.hybrid)
        made = pb.JobHeader(
            version=1,
            job_id=chance(f"{self.name}/job_id", 16),
            audience="cji-pool-vectors",
            originating_ori="WI0130000",
            requesting_ori="WI0130000",
            sealed_attribution=box(key.key, b"attribution", self.attribution(), chance(f"{self.name}/attribution", 12)),
            suite=pb.HYBRID_1 if self.hybrid else pb.CLASSICAL_1,
            submitter=thumbprint(self.signer.jwk),
            purpose_code="C",
            inputs=[pb.InputPart(name="records", schema="person/1", rows_declared=2)],
            operations=[pb.Operation(validate=pb.Validate(rule_set="ncic/1", as_of="2026-11-26"))],
            kek_id=KEK_ID,
            wrapped_dek=key.wrapped,
            recipients=[recipient(self.recipient)],
            created=Timestamp(seconds=CREATED),
            not_after=Timestamp(seconds=CREATED + 3600),
            size_class=pb.EXACT,
        )
        for change in changes:
            change(made)
        return made

    def header(self, *changes: Change) -> bytes:
        """Its canonical bytes."""
        return self.message(*changes).SerializeToString(deterministic=True)


CLASSICAL: Final = Job("classical", hybrid=False)
HYBRID: Final = Job("hybrid", hybrid=True)


def recipient(to: Recipient) -> pb.Recipient:
    """The entry of a recipient."""
    return pb.Recipient(key_id=key_id(to.jwk), jwk=to.jwk)


def put(**fields: object) -> Change:
    """These fields in place of what they have; None takes one away."""

    def change(message: pb.JobHeader) -> None:
        for name, value in fields.items():
            message.ClearField(name)
            if isinstance(value, list):
                getattr(message, name).extend(value)
            elif isinstance(value, Timestamp):
                getattr(message, name).CopyFrom(value)
            elif value is not None:
                setattr(message, name, value)

    return change


def _jwk(text: str, *, named: str | None = None) -> Change:
    """A recipient whose key is this text, under the thumbprint of the right one."""
    return put(recipients=[pb.Recipient(key_id=named or key_id(CLASSICAL.recipient.jwk), jwk=text)])


def _people(count: int) -> list[pb.Recipient]:
    names = ["recipient", *(f"recipient {number}" for number in range(2, 10))]
    return [recipient(Recipient(name, hybrid=False)) for name in names[:count]]


def _inputs(*parts: pb.InputPart) -> Change:
    return put(inputs=list(parts))


def _part(name: str = "records", schema: str = "person/1", **fields: Any) -> pb.InputPart:
    return pb.InputPart(**{"name": name, "schema": schema, "rows_declared": 2, **fields})


def _operations(*operations: pb.Operation) -> Change:
    return put(operations=list(operations))


_VALIDATE: Final = pb.Operation(validate=pb.Validate(rule_set="ncic/1", as_of="2026-11-26"))


def _probability(number: float) -> pb.Operation:
    return pb.Operation(link=pb.Link(match=number, clerical_review_threshold=0.5))


def _min_score(number: float) -> pb.Operation:
    return pb.Operation(screen=pb.Screen(preset="ncic_qw", max_hits=1, min_score=number))


_GOOD: Final = CLASSICAL.recipient.jwk
_SPACED: Final = _GOOD.replace(":", " : ").replace(",", ",\n")

VALID: Final[dict[str, tuple[Job, tuple[Change, ...]]]] = {
    "classical-1": (CLASSICAL, ()),
    "hybrid-1": (HYBRID, ()),
    "rows_declared absent": (CLASSICAL, (_inputs(_part(rows_declared=None)),)),
    "rows_declared 0": (CLASSICAL, (_inputs(_part(rows_declared=0)),)),
    "rows_declared 2^64 - 1": (CLASSICAL, (_inputs(_part(rows_declared=(1 << 64) - 1)),)),
    "two shards": (CLASSICAL, (_inputs(_part(shards=2)),)),
    "1024 shards": (CLASSICAL, (_inputs(_part(shards=1024)),)),
    "a side table": (CLASSICAL, (_inputs(_part("link_to"), _part(shards=2)),)),
    "16 inputs": (CLASSICAL, (_inputs(*(_part(f"side_{n}") for n in range(15)), _part()),)),
    "another name of the records": (CLASSICAL, (_inputs(_part("p" + "_" * 63)),)),
    "a schema of three numbers": (CLASSICAL, (_inputs(_part(schema="nibrs.incident/2019.2.1")),)),
    "eight operations": (CLASSICAL, (_operations(*[_VALIDATE] * 8),)),
    "min_score 0": (
        CLASSICAL,
        (_operations(_min_score(0)),),
    ),
    "min_score": (CLASSICAL, (_operations(_min_score(1.5)),)),
    "a probability": (CLASSICAL, (_operations(_probability(0.5)),)),
    "eight recipients": (CLASSICAL, (put(recipients=_people(8)),)),
    "a recipient of 4096 bits": (CLASSICAL, (put(recipients=[recipient(Recipient("recipient 4096", hybrid=False))]),)),
    "a recipient of 8192 bits": (CLASSICAL, (put(recipients=[recipient(Recipient("recipient 8192", hybrid=False))]),)),
    "a JWK with blanks": (CLASSICAL, (_jwk(_SPACED),)),
    "a JWK in another order": (CLASSICAL, (_jwk(_GOOD.replace('"e":"AQAB",', "").replace("}", ',"e":"AQAB"}')),)),
    "a JWK with kid, alg and use": (
        CLASSICAL,
        (_jwk(_GOOD.replace("}", f',"kid":"{key_id(_GOOD)}","alg":"RSA-OAEP-256","use":"enc"}}')),),
    ),
    "POWER_OF_TWO": (CLASSICAL, (put(size_class=pb.POWER_OF_TWO),)),
    "a send key": (CLASSICAL, (put(send_key=thumbprint(Signer("send key", hybrid=False).jwk)),)),
    "an audience of 256 bytes": (CLASSICAL, (put(audience="é" * 128),)),
    "a purpose of three characters": (CLASSICAL, (put(purpose_code="X9Z"),)),
    "a vault with a port": (CLASSICAL, (put(kek_id=KEK_ID.replace(".net/", ".net:8443/")),)),
    "nanoseconds": (CLASSICAL, (put(created=Timestamp(seconds=CREATED, nanos=999_999_999)),)),
    "a federal ORI": (CLASSICAL, (put(originating_ori="USFBI0000"),)),
    "the longest attribution": (CLASSICAL, (put(sealed_attribution=bytes(28 + 1536)),)),
}
"""Headers that are valid, by name: the job and what was changed."""

_TEXTS: Final = {
    "empty": ("empty text", None),
    "of 257 bytes": ("text length", "é" * 128 + "a"),
    "with a line feed": ("text characters", "pool\nvectors"),
    "with a zero": ("text characters", "pool\0"),
    "with a bidirectional mark": ("text characters", "\u202epool"),
    "with a zero-width space": ("text characters", "po\u200bol"),
    "with a no-break space": ("text characters", "pool\u00a0vectors"),
    "that begins with a blank": ("text characters", " pool"),
    "that ends with a blank": ("text characters", "pool "),
}
_ORIS: Final = {
    "absent": None,
    "of 8 characters": "WI013000",
    "of 10 characters": "WI01300000",
    "in lower case": "wi0130000",
    "of another prefix": "ZZ0130000",
    "with a digit of another script": "WI01300\u06630",
    "with a line feed": "WI013000\n",
}
_KEK_IDS: Final = {
    "absent": None,
    "over http": KEK_ID.replace("https", "http"),
    "without a version": KEK_ID.rpartition("/")[0],
    "with a name as version": KEK_ID.rpartition("/")[0] + "/latest",
    "in upper case": KEK_ID.replace("0123456789abcdef", "0123456789ABCDEF"),
    "of another host by @": KEK_ID.replace(".net/", ".net@example.org/"),
    "with a dot segment": KEK_ID.replace("/keys/", "/keys/../keys/"),
    "with a query": KEK_ID + "?x=1",
    "with a slash at the end": KEK_ID + "/",
    "with a host in upper case": KEK_ID.replace("vectors.vault", "Vectors.vault"),
    "with port 0": KEK_ID.replace(".net/", ".net:0/"),
    "of 600 bytes": KEK_ID.replace("vectors.vault", "a." * 240 + "vault"),
    "of a secret": KEK_ID.replace("/keys/", "/secrets/"),
}
_SMALL: Final = rsa_jwk(rsa_key("recipient 2048").public_key())
_MODULUS: Final = _GOOD.partition('"n":"')[2].partition('"')[0]
_JWKS: Final = {
    "absent": "",
    "no JSON": "key",
    "a list": f"[{_GOOD}]",
    "of 2048 bits": _SMALL,
    "with a repeated member": _GOOD.replace('"kty":"RSA"', '"kty":"RSA","kty":"RSA"'),
    "with an unknown member": _GOOD.replace("}", ',"x5u":"https://example.org"}'),
    "with a private member": _GOOD.replace("}", ',"d":"AQAB"}'),
    "with another alg": _GOOD.replace("}", ',"alg":"RSA-OAEP"}'),
    "with another use": _GOOD.replace("}", ',"use":"sig"}'),
    "with another kid": _GOOD.replace("}", ',"kid":"' + "A" * 43 + '"}'),
    "with e = 3": _GOOD.replace("AQAB", "Aw"),
    "with a longer e": _GOOD.replace("AQAB", "AAEAAQ"),
    "with padding": _GOOD.replace('"AQAB"', '"AQAB="'),
    "with a leading zero in n": _GOOD.replace('"n":"', '"n":"AA'),
    "without n": '{"e":"AQAB","kty":"RSA"}',
    "with a number as n": _GOOD.replace(f'"{_MODULUS}"', "1"),
    "of a P-384 key": Signer("submitter", hybrid=False).jwk,
    "of the other suite": HYBRID.recipient.jwk,
    "with bytes behind it": _GOOD + "x",
}


def _swap_inputs() -> Change:
    return _inputs(_part(shards=2), _part("other"))


def _field_cases() -> Iterator[tuple[str, str, Job, Change]]:
    for version in (0, 2, (1 << 32) - 1):
        yield f"version {version}", "version", CLASSICAL, put(version=version or None)
    for length in (0, 15, 17):
        yield f"job_id of {length} bytes", "job_id", CLASSICAL, put(job_id=b"\1" * length or None)
    yield "job_id of zeros", "job_id", CLASSICAL, put(job_id=bytes(16))
    for name, (rule, text) in _TEXTS.items():
        yield f"audience {name}", rule, CLASSICAL, put(audience=text)
    for which in ("originating_ori", "requesting_ori"):
        for name, ori in _ORIS.items():
            yield f"{which} {name}", which, CLASSICAL, put(**{which: ori})
    for suite in (None, 3):
        yield f"suite {suite or 0}", "suite", CLASSICAL, put(suite=suite)
    yield "classical fields under hybrid-1", "wrapped_dek", CLASSICAL, put(suite=pb.HYBRID_1)
    yield "hybrid fields under classical-1", "wrapped_dek", HYBRID, put(suite=pb.CLASSICAL_1)
    for length in (0, 31, 33, 64):
        yield f"submitter of {length} bytes", "submitter", CLASSICAL, put(submitter=b"\1" * length or None)
    for length in (1, 31, 33):
        yield f"send_key of {length} bytes", "send_key", CLASSICAL, put(send_key=b"\1" * length)


def _key_cases() -> Iterator[tuple[str, str, Job, Change]]:
    for purpose in (None, "c", "CCCC", "C ", "C\n", "Ç"):
        yield f"purpose_code {purpose!r}", "purpose_code", CLASSICAL, put(purpose_code=purpose)
    for name, kek_id in _KEK_IDS.items():
        yield f"kek_id {name}", "kek_id", CLASSICAL, put(kek_id=kek_id)
    for length in (0, 255, 1025):
        yield f"wrapped_dek of {length} bytes", "wrapped_dek", CLASSICAL, put(wrapped_dek=b"\1" * length or None)
    for length in (1568, 1568 + 255, 1568 + 1025):
        yield f"hybrid wrapped_dek of {length} bytes", "wrapped_dek", HYBRID, put(wrapped_dek=b"\1" * length)
    for length in (0, 28, 28 + 255, 28 + 257, 28 + 1792):
        change = put(sealed_attribution=b"\1" * length or None)
        yield f"sealed_attribution of {length} bytes", "sealed_attribution", CLASSICAL, change
    for size in (None, 3):
        yield f"size_class {size or 0}", "size_class", CLASSICAL, put(size_class=size)


def _list_cases() -> Iterator[tuple[str, str, Job, Change]]:
    yield "no input", "number of inputs", CLASSICAL, _inputs()
    yield "17 inputs", "number of inputs", CLASSICAL, _inputs(*(_part(f"p{n}") for n in range(17)))
    for name in ("", "Records", "2nd", "../records", "a b", "p" * 65, "é"):
        yield f"an input named {name!r}", "input name", CLASSICAL, _inputs(_part(name))
    for schema in ("", "person", "person/", "person/1.", "Person/1", "person/12345", "p" * 49 + "/1", "person/1/2"):
        yield f"an input of schema {schema!r}", "input schema", CLASSICAL, _inputs(_part(schema=schema))
    for shards in (1, 1025, (1 << 32) - 1):
        yield f"{shards} shards", "shards", CLASSICAL, _inputs(_part(shards=shards))
    yield "two inputs of one name", "input names", CLASSICAL, _inputs(_part(), _part())
    yield "shards of a side table", "shards of a side table", CLASSICAL, _swap_inputs()
    alone = _inputs(_part(column_keys=1))
    yield "column_keys without columns", "column keys without sealed columns", CLASSICAL, alone
    columns = _inputs(_part(sealed_columns=["last"]))
    yield "sealed columns without keys", "column keys that are used", CLASSICAL, columns
    yield "no operation", "number of operations", CLASSICAL, _operations()
    yield "nine operations", "number of operations", CLASSICAL, _operations(*[_VALIDATE] * 9)
    yield "an empty operation", "operation not set", CLASSICAL, _operations(_VALIDATE, pb.Operation())
    yield "no recipient", "number of recipients", CLASSICAL, put(recipients=[])
    yield "nine recipients", "number of recipients", CLASSICAL, put(recipients=[*_people(8), *_people(1)])
    yield "a recipient twice", "recipients", CLASSICAL, put(recipients=_people(1) * 2)
    other = key_id(Recipient("recipient 2", hybrid=False).jwk)
    yield "the key_id of another key", "recipient key_id", CLASSICAL, _jwk(_GOOD, named=other)
    padded = key_id(_GOOD) + "="
    yield "a padded key_id", "recipient key_id", CLASSICAL, _jwk(_GOOD, named=padded)
    for name, text in _JWKS.items():
        named = key_id(text) if text == _SMALL else None
        yield f"a recipient's JWK {name}", "recipient JWK", CLASSICAL, _jwk(text, named=named)
    hybrid = HYBRID.recipient.jwk
    for name, text in {
        "of the other suite": _GOOD,
        "one byte short": hybrid.replace('"pub":"', '"pub":"')[:-6] + '"}',
        "of another alg": hybrid.replace("MLKEM1024-P384", "ML-KEM-1024"),
    }.items():
        change = put(recipients=[pb.Recipient(key_id=key_id(hybrid), jwk=text)])
        yield f"a hybrid recipient's JWK {name}", "recipient JWK", HYBRID, change
    for which in ("created", "not_after"):
        yield f"no {which}", "times", CLASSICAL, put(**{which: None})
        for nanos in (-1, 1_000_000_000):
            stamp = Timestamp(seconds=CREATED + (which == "not_after") * 3600, nanos=nanos)
            yield f"{nanos} nanoseconds in {which}", "nanos", CLASSICAL, put(**{which: stamp})
        late = Timestamp(seconds=1 << 50)
        yield f"a {which} beyond the year 9999", "seconds", CLASSICAL, put(**{which: late})


def _number_cases() -> Iterator[Case]:
    """Numbers that protobuf libraries write differently, or that are none."""
    for title, number in {"-0.0": -0.0, "NaN": float("nan"), "infinite": float("inf")}.items():
        for name, made in (("a probability", _probability(number)), ("min_score", _min_score(number))):
            header = CLASSICAL.header(_operations(made)).hex()
            yield Case.broken(f"{name} that is {title}", "number", "MALFORMED_HEADER", made_from=name, header=header)


def _encodings() -> Iterator[tuple[str, str, bytes]]:
    good = CLASSICAL.header()
    first, rest = good[:2], good[2:]  # version, then everything else
    canonical, size = "not canonical, or unknown fields", "message length"
    yield "no bytes", size, b""
    yield "32 769 bytes", size, good + b"\x52" + b"\x80\xff\x01" + bytes((1 << 15) + 1 - len(good) - 4)
    yield "an unknown field", canonical, good + bytes.fromhex("c20c00")
    yield "a field of a reserved number", canonical, good + bytes.fromhex("520161")
    yield "a longer varint", canonical, b"\x08\x81\x00" + rest
    yield "fields in another order", canonical, rest + first
    yield "a field twice", canonical, first + first + rest
    yield "a default value", canonical, good.replace(b"\x62", b"\x4a\x00\x62", 1)
    yield "a group", canonical, good + b"\x53\x54"
    yield "another type of a field", canonical, b"\x0d\x01\x00\x00\x00" + rest
    yield "a byte too few", "not protobuf", good[:-1]
    yield "a byte too many", "not protobuf", good + b"\x08"
    yield "text that is not UTF-8", "not protobuf", good.replace(b"cji-pool", b"cji\xffpool", 1)
    yield "field number 0", "not protobuf", good + b"\x00\x00"


def _times() -> Iterator[Case]:
    """Headers that are well formed and of another time than the worker's."""

    def made(created: int, lifetime: int) -> str:
        ends = Timestamp(seconds=CREATED + created + lifetime)
        return CLASSICAL.header(put(created=Timestamp(seconds=CREATED + created), not_after=ends)).hex()

    yield Case.valid("created 60 s ahead", header=made(60, 3540))
    yield Case.valid("24 hours", header=made(0, 86_400))
    yield Case.valid("until this second", header=made(-60, 60))
    for name, reason, base, header in (
        ("not_after at created", "EXPIRED", "classical-1", made(0, 0)),
        ("not_after before created", "EXPIRED", "classical-1", made(0, -1)),
        ("24 hours and a second", "EXPIRED", "classical-1", made(0, 86_401)),
        ("until the second before", "EXPIRED", "until this second", made(-60, 59)),
        ("created 61 s ahead", "NOT_READY", "created 60 s ahead", made(61, 3539)),
        ("created an hour and 61 s ahead", "EXPIRED", "24 hours", made(3661, 86_400 - 3661)),
    ):
        yield Case.broken(name, "times of a job", reason, made_from=base, header=header)


def cases() -> Iterator[Case]:
    """Every case about the bytes of a header."""
    yield from _times()
    for name, (job, changes) in VALID.items():
        yield Case.valid(name, header=job.header(*changes).hex())
    for name, rule, job, change in (*_field_cases(), *_key_cases(), *_list_cases()):
        yield Case.broken(name, rule, "MALFORMED_HEADER", made_from=job.suite, header=job.header(change).hex())
    yield from _number_cases()
    for name, rule, data in _encodings():
        yield Case.broken(name, rule, "MALFORMED_HEADER", made_from="classical-1", header=data.hex())
