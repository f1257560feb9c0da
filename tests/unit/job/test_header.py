import base64
import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_core.errors import Reason, Refusal, RetryLater
from cji_core.format.columns import column_keys_message
from cji_core.format.job import (
    LIMITS,
    Attribution,
    Header,
    InputPart,
    JobId,
    Recipient,
    SealedOutput,
    SizeClass,
    check_audience,
    check_parts,
    check_times,
    is_ori,
    new_header,
    new_job_id,
    parse,
)
from cji_core.jose import key_id, parse_p384, parse_rsa, public_jwk
from cji_core.pairs import DecryptionPair
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2
from tests.support.column_keys import sealed, statement
from tests.support.refusals import refused
from tests.support.rsa_keys import rsa_key

NOW = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _rsa_jwk(key: rsa.RSAPublicKey) -> dict[str, str]:
    n = key.public_numbers().n
    return {"kty": "RSA", "n": _b64(n.to_bytes((n.bit_length() + 7) // 8, "big")), "e": "AQAB"}


def _text(members: dict[str, str]) -> str:
    return json.dumps(members)


RSA_KEY = rsa_key(bits=3072).public_key()
SMALL_KEY = rsa_key().public_key()
RECIPIENT = Recipient(key_id=key_id(RSA_KEY), jwk=_text(_rsa_jwk(RSA_KEY)))
OPERATION = worker_pb2.Operation(
    deidentify=worker_pb2.Deidentify(project="p", columns=[worker_pb2.ColumnRule(column="DOB", keep=worker_pb2.Keep())])
)

VALUES: dict[str, Any] = {
    "job_id": JobId(bytes(range(1, 17))),
    "audience": "pool-1",
    "originating_ori": "WI0130000",
    "requesting_ori": "WI0140000",
    "sealed_attribution": bytes(512 + 28),
    "submitter": bytes(range(32)),
    "send_key": bytes(range(32, 64)),
    "purpose_code": "C",
    "inputs": [InputPart(name="people", schema="person/1", rows_declared=0)],
    "operations": [OPERATION],
    "kek_id": "https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
    "wrapped_dek": b"\x07" * 384,
    "recipients": [RECIPIENT],
    "created": NOW,
    "not_after": NOW + timedelta(hours=24),
}


def made(**changes: Any) -> bytes:
    return new_header(**{**VALUES, **changes})


def raw(**changes: Any) -> bytes:
    """Header bytes that no check of ours has seen: the good message with some fields set otherwise."""
    message = worker_pb2.JobHeader.FromString(GOOD)
    for name, value in changes.items():
        message.ClearField(name)
        if value is not None:
            message.MergeFrom(worker_pb2.JobHeader(**{name: value}))
    return message.SerializeToString(deterministic=True)


GOOD = made()


def broken_rule(data: bytes) -> str:
    """The rule that a header broke, from the developer's cause; the caller sees the reason alone."""
    with refused(Reason.MALFORMED_HEADER) as caught:
        parse(data)
    return str(caught.value.__cause__)


def test_a_header_keeps_its_bytes_and_says_what_was_meant() -> None:
    header = parse(GOOD)
    assert header.data == GOOD
    assert header.sha384 == hashlib.sha384(GOOD).digest()
    names = "job_id audience originating_ori requesting_ori sealed_attribution purpose_code kek_id wrapped_dek"
    for name in [*names.split(), "created", "not_after"]:
        assert getattr(header, name) == VALUES[name]
    assert header.inputs == tuple(VALUES["inputs"])
    assert header.recipients == (RECIPIENT,)
    assert header.operation_names == ("deidentify",)
    assert header.operations == (OPERATION,)
    assert header.size_class is SizeClass.EXACT
    assert header.suite is Suite.CLASSICAL_1


def test_the_same_values_give_the_same_bytes() -> None:
    assert made() == GOOD
    assert new_job_id() != new_job_id()


def test_rows_declared_is_absent_or_a_number() -> None:
    assert parse(GOOD).inputs[0].rows_declared == 0
    assert parse(made(inputs=[InputPart(name="people", schema="person/1")])).inputs[0].rows_declared is None


def test_records_may_be_many_parts_and_side_tables_are_one_each() -> None:
    side, records = InputPart(name="link_to", schema="person/1"), InputPart(name="r", schema="person/1", shards=1024)
    header = parse(made(inputs=[side, records]))
    assert header.inputs == (side, records)
    assert header.parts == (side, *[records] * 1024)
    assert parse(GOOD).parts == tuple(VALUES["inputs"])


@pytest.mark.parametrize(("shards", "runs"), [(1, True), (15, True), (16, False), (1024, False)])
def test_a_run_takes_sixteen_parts(shards: int, runs: bool) -> None:
    side, records = InputPart(name="link_to", schema="person/1"), InputPart(name="r", schema="person/1", shards=shards)
    header = parse(made(inputs=[side, records]))
    if runs:
        check_parts(header)
    else:
        with refused(Reason.LIMIT_EXCEEDED):
            check_parts(header)


def test_the_repr_of_a_header_tells_no_text_of_it() -> None:
    assert repr(parse(GOOD)) == f"Header(job_id={VALUES['job_id'].hex()})"


@pytest.mark.parametrize("size", [SizeClass.EXACT, SizeClass.POWER_OF_TWO])
def test_both_size_classes_pass(size: SizeClass) -> None:
    assert parse(made(size_class=size)).size_class is size


def linking(
    match: float = 0.5, clerical_review_threshold: float = 0.5, cluster_stop: float = 1
) -> worker_pb2.Operation:
    link = worker_pb2.Link(match=match, clerical_review_threshold=clerical_review_threshold, cluster_stop=cluster_stop)
    return worker_pb2.Operation(link=link)


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("version", {"version": None}),
    ("version", {"version": 2}),
    ("job_id", {"job_id": None}),
    ("job_id", {"job_id": bytes(16)}),
    ("job_id", {"job_id": b"\x01" * 15}),
    ("job_id", {"job_id": b"\x01" * 17}),
    ("empty text", {"audience": None}),
    ("text characters", {"audience": " "}),
    ("text characters", {"audience": "two\nlines"}),
    ("text characters", {"audience": "nul\0"}),
    ("text length", {"audience": "é" * 129}),
    ("sealed_attribution", {"sealed_attribution": None}),
    ("sealed_attribution", {"sealed_attribution": bytes(28)}),
    ("sealed_attribution", {"sealed_attribution": bytes(28 + 255)}),
    ("sealed_attribution", {"sealed_attribution": bytes(28 + 1536 + 256)}),
    ("suite", {"suite": None}),
    ("suite", {"suite": 3}),
    ("wrapped_dek", {"suite": worker_pb2.HYBRID_1}),
    ("wrapped_dek", {"suite": worker_pb2.HYBRID_1, "wrapped_dek": bytes(1568 + 255)}),
    ("wrapped_dek", {"suite": worker_pb2.HYBRID_1, "wrapped_dek": bytes(1568 + 1025)}),
    ("recipient JWK", {"suite": worker_pb2.HYBRID_1, "wrapped_dek": bytes(1568 + 384)}),
    ("originating_ori", {"originating_ori": None}),
    ("originating_ori", {"originating_ori": "WI013000"}),
    ("originating_ori", {"originating_ori": "wi0130000"}),
    ("originating_ori", {"originating_ori": "WI0130000\n"}),
    ("requesting_ori", {"requesting_ori": "ZZ0130000"}),
    ("requesting_ori", {"requesting_ori": "WI01300٣0"}),
    ("purpose_code", {"purpose_code": None}),
    ("purpose_code", {"purpose_code": "c"}),
    ("purpose_code", {"purpose_code": "C\n"}),
    ("number of inputs", {"inputs": None}),
    ("number of inputs", {"inputs": [worker_pb2.InputPart(name=f"p{i}", schema="person/1") for i in range(17)]}),
    ("input names", {"inputs": [worker_pb2.InputPart(name="p", schema="person/1")] * 2}),
    ("input name", {"inputs": [worker_pb2.InputPart(schema="person/1")]}),
    ("input name", {"inputs": [worker_pb2.InputPart(name="../p", schema="person/1")]}),
    ("input schema", {"inputs": [worker_pb2.InputPart(name="p")]}),
    ("input schema", {"inputs": [worker_pb2.InputPart(name="p", schema="person")]}),
    ("shards", {"inputs": [worker_pb2.InputPart(name="p", schema="person/1", shards=1)]}),
    ("shards", {"inputs": [worker_pb2.InputPart(name="p", schema="person/1", shards=1025)]}),
    ("shards", {"inputs": [worker_pb2.InputPart(name="p", schema="person/1", shards=2**32 - 1)]}),
    (
        "shards of a side table",
        {
            "inputs": [
                worker_pb2.InputPart(name="p", schema="person/1", shards=2),
                worker_pb2.InputPart(name="q", schema="person/1"),
            ]
        },
    ),
    ("number of operations", {"operations": None}),
    ("number of operations", {"operations": [OPERATION] * 9}),
    ("operation not set", {"operations": [OPERATION, worker_pb2.Operation()]}),
    *(("number", {"operations": [OPERATION, linking(match=value)]}) for value in (-0.0, math.nan, math.inf)),
    ("number", {"operations": [linking(clerical_review_threshold=math.nan)]}),
    ("number", {"operations": [linking(cluster_stop=-0.0)]}),
    ("number", {"operations": [worker_pb2.Operation(screen=worker_pb2.Screen(min_score=-0.0))]}),
    ("number", {"operations": [worker_pb2.Operation(match_orders=worker_pb2.MatchOrders(match=-math.inf))]}),
    ("kek_id", {"kek_id": None}),
    ("kek_id", {"kek_id": "http://v.vault.azure.net/keys/cmk/" + "ab" * 16}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net/keys/cmk"}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net/keys/cmk/latest"}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net@evil.example/keys/cmk/" + "ab" * 16}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net/keys/../keys/cmk/" + "ab" * 16}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net/keys/cmk/" + "ab" * 16 + "?x=1"}),
    ("kek_id", {"kek_id": "https://V.vault.azure.net/keys/cmk/" + "ab" * 16}),
    ("kek_id", {"kek_id": "https://" + "a." * 300 + "net/keys/cmk/" + "ab" * 16}),
    ("wrapped_dek", {"wrapped_dek": None}),
    ("wrapped_dek", {"wrapped_dek": b"\x01" * 255}),
    ("wrapped_dek", {"wrapped_dek": b"\x01" * 1025}),
    ("number of recipients", {"recipients": None}),
    ("number of recipients", {"recipients": [worker_pb2.Recipient(key_id=RECIPIENT.key_id, jwk=RECIPIENT.jwk)] * 9}),
    ("recipients", {"recipients": [worker_pb2.Recipient(key_id=RECIPIENT.key_id, jwk=RECIPIENT.jwk)] * 2}),
    ("recipient key_id", {"recipients": [worker_pb2.Recipient(key_id="A" * 43, jwk=RECIPIENT.jwk)]}),
    ("recipient JWK", {"recipients": [worker_pb2.Recipient(key_id=RECIPIENT.key_id)]}),
    (
        "recipient JWK",
        {"recipients": [worker_pb2.Recipient(key_id=key_id(SMALL_KEY), jwk=_text(_rsa_jwk(SMALL_KEY)))]},
    ),
    ("times", {"created": None}),
    ("times", {"not_after": None}),
    ("size_class", {"size_class": None}),
    ("size_class", {"size_class": 3}),
]

SEALED = worker_pb2.InputPart(name="people", schema="person/1", sealed_columns=["DOB", "last"])
OUTPUT = worker_pb2.SealedOutput(output="result", column="token", as_column="SOC")
KEYS = column_keys_message(sealed())
OTHER_KEYS = column_keys_message(sealed(statement(table="other")))
COLUMN_RULES: list[tuple[str, dict[str, Any]]] = [
    ("size_class with column keys", {"size_class": SizeClass.EXACT}),
    ("column keys that are used", {"column_keys": None}),
    ("column keys that are used", {"column_keys": [KEYS, OTHER_KEYS]}),
    ("column keys that are used", {"inputs": [worker_pb2.InputPart(name="people", schema="person/1")]}),
    ("number of column keys", {"column_keys": [KEYS] * 5}),
    ("wrapped_key", {"column_keys": [worker_pb2.ColumnKeys(statement=KEYS.statement)]}),
    ("message length", {"column_keys": [worker_pb2.ColumnKeys(signature=b"s")]}),
    ("number of sealed columns", {"inputs": [worker_pb2.InputPart(name="p", schema="p/1", sealed_columns=["a"] * 65)]}),
    ("name of a sealed column", {"inputs": [worker_pb2.InputPart(name="p", schema="p/1", sealed_columns=["a b"])]}),
    ("order of sealed columns", {"inputs": [worker_pb2.InputPart(name="p", schema="p/1", sealed_columns=["b", "a"])]}),
    ("order of sealed columns", {"inputs": [worker_pb2.InputPart(name="p", schema="p/1", sealed_columns=["a", "a"])]}),
    (
        "column keys without sealed columns",
        {"inputs": [worker_pb2.InputPart(name="side", schema="person/1", column_keys=1), SEALED]},
    ),
    (
        "a statement twice",
        {
            "column_keys": [KEYS, KEYS],
            "sealed_outputs": [worker_pb2.SealedOutput(output="r", column="a", column_keys=1, as_column="b")],
        },
    ),
    ("number of sealed outputs", {"sealed_outputs": [OUTPUT] * 65}),
    ("order of sealed outputs", {"sealed_outputs": [OUTPUT] * 2}),
    ("name of a sealed output", {"sealed_outputs": [worker_pb2.SealedOutput(output="R", column="a", as_column="b")]}),
    ("column of a sealed output", {"sealed_outputs": [worker_pb2.SealedOutput(output="r", as_column="b")]}),
    ("column of a sealed output", {"sealed_outputs": [worker_pb2.SealedOutput(output="r", column="a")]}),
]


def with_columns(**changes: Any) -> bytes:
    return raw(
        **{"inputs": [SEALED], "column_keys": [KEYS], "size_class": SizeClass.POWER_OF_TWO, **changes},
    )


def test_a_header_carries_column_keys_and_sealed_outputs() -> None:
    keys, other = sealed(), sealed(statement(table="other"))
    part = InputPart(name="people", schema="person/1", sealed_columns=("last", "DOB"), column_keys=1)
    outputs = [
        SealedOutput(output="result", column="token", column_keys=0, as_column="SOC"),
        SealedOutput(output="result", column="last", column_keys=1, as_column="last"),
    ]
    values = {"column_keys": [keys, other], "sealed_outputs": outputs, "size_class": SizeClass.POWER_OF_TWO}
    header = parse(made(inputs=[part], **values))
    assert header.column_keys == (keys, other)
    assert header.sealed_outputs == (outputs[1], outputs[0])
    assert header.inputs[0].sealed_columns == ("DOB", "last")
    assert header.inputs[0].column_keys == 1
    assert not parse(GOOD).column_keys
    assert not parse(GOOD).sealed_outputs
    assert parse(with_columns(sealed_outputs=[OUTPUT])).sealed_outputs[0].as_column == "SOC"


def test_used_keys_are_those_of_opened_and_sealed_columns() -> None:
    keys, other = sealed(), sealed(statement(table="other"))
    part = InputPart(name="people", schema="person/1", sealed_columns=("DOB", "middle"))
    output = SealedOutput(output="result", column="token", column_keys=1, as_column="SOC")
    made_of = {"column_keys": [keys, other], "sealed_outputs": [output], "size_class": SizeClass.POWER_OF_TWO}
    used = parse(made(inputs=[part], **made_of)).used_column_keys
    assert used == {keys.statement: keys.statement.keys[1:], other.statement: other.statement.keys[:1]}
    assert parse(GOOD).used_column_keys == {}


@pytest.mark.parametrize(("rule", "change"), COLUMN_RULES, ids=[f"{i}-{r}" for i, (r, _) in enumerate(COLUMN_RULES)])
def test_a_broken_rule_of_sealed_columns_is_malformed(rule: str, change: dict[str, Any]) -> None:
    assert broken_rule(with_columns(**change)) == rule


@pytest.mark.parametrize(("rule", "change"), BROKEN, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BROKEN)])
def test_a_broken_rule_is_malformed(rule: str, change: dict[str, Any]) -> None:
    assert broken_rule(raw(**change)) == rule


def test_times_out_of_range_are_malformed() -> None:
    message = worker_pb2.JobHeader.FromString(GOOD)
    message.created.nanos = -1
    assert broken_rule(message.SerializeToString()) == "nanos"
    message.created.nanos = 0
    message.created.seconds = 1 << 62
    assert broken_rule(message.SerializeToString()) == "seconds"


def test_the_refusal_carries_no_text_of_the_header() -> None:
    with refused(Reason.MALFORMED_HEADER) as caught:
        parse(raw(audience="canary-in-the-header\n"))
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


def test_numbers_of_a_header_are_members_of_operations() -> None:
    """The check looks there alone, and at no list."""
    operations = [field.message_type for field in worker_pb2.Operation.DESCRIPTOR.fields]
    found = {
        message.full_name
        for message in worker_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT) and not (message in operations and not field.is_repeated)
    }
    assert found == set()
    assert parse(made(operations=[worker_pb2.Operation(screen=worker_pb2.Screen(min_score=0.0))]))


def test_thirty_two_kibibytes_are_the_most() -> None:
    assert broken_rule(b"") == "message length"
    assert broken_rule(GOOD + b"\0" * (LIMITS.header_bytes + 1 - len(GOOD))) == "message length"
    eight = [OPERATION] * 8
    keys = [rsa.RSAPublicNumbers(65537, (1 << 4095) + 2 * i + 1).public_key() for i in range(8)]
    recipients = [Recipient(key_id=key_id(key), jwk=_text(_rsa_jwk(key))) for key in keys]
    assert len(made(recipients=recipients, operations=eight, wrapped_dek=b"\x01" * 1024)) < LIMITS.header_bytes
    pairs = [DecryptionPair.generate().public_key() for _ in range(8)]
    recipients = [Recipient(key_id=key_id(pair), jwk=public_jwk(pair)) for pair in pairs]
    hybrid = {"suite": Suite.HYBRID_1, "wrapped_dek": bytes(1568 + 1024), "sealed_attribution": bytes(1536 + 28)}
    assert len(made(recipients=recipients, operations=eight, **hybrid)) < LIMITS.header_bytes


BAD_TEXTS: list[tuple[str, str]] = [
    ("empty text", ""),
    ("text characters", " "),
    ("text characters", "two\nlines"),
    ("text characters", "nul\0"),
    ("text characters", "\u202ereversed"),
    ("text characters", "zero\u200bwidth"),
    ("text characters", "trailing "),
    ("text length", "é" * 129),
]
BY = {"operator_id": "op-17", "requestor": "Det. Muñoz", "reason": "background check"}


@pytest.mark.parametrize("name", ["operator_id", "requestor", "reason", "secondary_recipient", "case_number"])
@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_a_broken_text_of_an_attribution_is_malformed(name: str, rule: str, text: str) -> None:
    if not text and name in {"secondary_recipient", "case_number"}:
        assert Attribution(**{**BY, name: text})
        return
    with refused(Reason.MALFORMED_HEADER) as caught:
        Attribution(**{**BY, name: text})
    assert str(caught.value.__cause__) == rule


def test_an_attribution_shows_neither_text_nor_length() -> None:
    short, long = Attribution(**BY), Attribution(**{**BY, "reason": "b" * 150})
    assert BY["requestor"] not in repr(short)
    assert len(short.encode()) == len(long.encode()) == 256
    most = Attribution(**dict.fromkeys([*BY, "secondary_recipient", "case_number"], "x" * 256))
    assert len(most.encode()) == LIMITS.attribution_max_bytes
    unpadded = short.encode().rstrip(b"\0")
    for data in (unpadded, short.encode() + bytes(256), b"", bytes(256), unpadded + b"\xf8\x07\x01" + bytes(256)):
        with refused(Reason.MALFORMED_HEADER):
            Attribution.decode(data)


def test_values_that_make_no_header_are_refused_when_built() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"created": NOW.replace(tzinfo=None)},
        {"audience": ""},
        {"recipients": []},
        {"audience": "\ud800"},
    )
    for change in changes:
        with refused(Reason.MALFORMED_HEADER):
            made(**change)


def _expired(header: Header, now: datetime) -> bool:
    try:
        check_times(header, now)
    except Refusal as refusal:
        return refusal.reason is Reason.EXPIRED
    return False


def test_times_are_checked_to_the_second() -> None:
    header = parse(made(not_after=NOW + timedelta(hours=1)))
    second = timedelta(seconds=1)
    assert _expired(header, NOW - timedelta(hours=1, seconds=60, milliseconds=1))
    assert not _expired(header, NOW - 60 * second)
    assert not _expired(header, NOW + timedelta(hours=1))
    assert _expired(header, NOW + timedelta(hours=1, milliseconds=1))
    with pytest.raises(TypeError):
        check_times(header, NOW.replace(tzinfo=None))


def test_a_header_ahead_of_a_slow_clock_is_for_later() -> None:
    """A minute mends it, so nobody may refuse it for good."""
    header = parse(made(not_after=NOW + timedelta(hours=1)))
    for ahead in (timedelta(milliseconds=1), timedelta(minutes=5), timedelta(hours=1)):
        with refused(Reason.NOT_READY) as caught:
            check_times(header, NOW - timedelta(seconds=60) - ahead)
        assert isinstance(caught.value, RetryLater)
        assert 0 <= caught.value.after_ms - ahead.total_seconds() * 1000 <= 1


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, microseconds=1)])
def test_a_life_too_long_or_of_nothing_is_expired(life: timedelta) -> None:
    assert _expired(parse(made(not_after=NOW + life)), NOW)


@pytest.mark.parametrize("audience", ["pool-2", "pool-", "POOL-1", "pool-11", ""])
def test_another_pool_is_an_audience_mismatch(audience: str) -> None:
    check_audience(parse(GOOD), "pool-1")
    with refused(Reason.AUDIENCE_MISMATCH):
        check_audience(parse(GOOD), audience)


def test_ori_prefixes_are_data_that_an_operator_replaces() -> None:
    assert is_ori("DCFBIWAQ0")
    assert not is_ori("XX0000000")
    assert is_ori("XX0000000", frozenset({"XX"}))
    with refused(Reason.MALFORMED_HEADER):
        parse(GOOD, ori_prefixes=frozenset({"XX"}))


# RFC 7638 §3.1, the specification's own example; 2048 bits, so only the thumbprint is checked with it.
RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw"
)


def test_the_thumbprint_is_that_of_the_specification() -> None:
    n = int.from_bytes(base64.urlsafe_b64decode(RFC7638_N + "=="), "big")
    key = rsa.RSAPublicNumbers(65537, n).public_key()
    assert key_id(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_optional_members_of_a_jwk_must_be_right() -> None:
    good = _rsa_jwk(RSA_KEY)
    parse_rsa(_text({**good, "kid": RECIPIENT.key_id, "alg": "RSA-OAEP-256", "use": "enc"}))
    bad = [
        _text({**good, "kid": "A" * 43}),
        _text({**good, "alg": "RSA1_5"}),
        _text({**good, "use": "sig"}),
        _text({**good, "d": "AQAB"}),
        _text({**good, "e": "AAEAAQ"}),
        _text({**good, "e": "Aw"}),
        _text({**good, "n": _b64(b"\0" + RSA_KEY.public_numbers().n.to_bytes(384, "big"))}),
        _text({**good, "n": _b64((1 << 3071).to_bytes(384, "big"))}),
        _text({**good, "n": good["n"] + "="}),
        _text({**good, "n": good["n"][:-1]}),
        _text({**good, "n": ""}),
        _text({**good, "kty": "EC"}),
        _text(good)[:-1] + f', "n": "{good["n"]}"}}',
        "[" * 100_000,
        "null",
        "",
    ]
    for text in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - refused in whatever words
            parse_rsa(text)


def test_signing_keys_are_points_of_p384() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    numbers = key.public_numbers()
    good = {
        "kty": "EC",
        "crv": "P-384",
        "x": _b64(numbers.x.to_bytes(48, "big")),
        "y": _b64(numbers.y.to_bytes(48, "big")),
    }
    assert parse_p384(_text(good)).public_numbers() == numbers
    parse_p384(_text({**good, "kid": key_id(key), "alg": "ES384", "use": "sig"}))
    for change in ({"crv": "P-256"}, {"y": good["x"]}, {"x": _b64(b"\1" * 47)}, {"kid": "A" * 43}, {"d": "AQAB"}):
        with pytest.raises(ValueError):  # noqa: PT011 - refused in whatever words
            parse_p384(_text({**good, **change}))
