"""Any bytes into a parser of the job room give a value or that room's own refusal."""

import contextlib
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.job import (
    LIMITS,
    Attribution,
    Header,
    InputPart,
    JobId,
    Policy,
    PolicyInvalid,
    Recipient,
    new_header,
    parse,
)
from cji_core.jose import key_id, parse_p384, parse_rsa
from cji_core.wire.v1 import worker_pb2

NOW = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]).filter(str.isprintable), min_size=1, max_size=64)


@cache
def _recipient() -> Recipient:
    """A fixed odd modulus: nobody opens anything with it, so it need not be a product of two primes."""
    key = rsa.RSAPublicNumbers(65537, (1 << 3071) + 12345).public_key()
    n = key.public_numbers().n
    text = urlsafe_b64encode(n.to_bytes(384, "big")).rstrip(b"=").decode()
    return Recipient(key_id=key_id(key), jwk=json.dumps({"kty": "RSA", "n": text, "e": "AQAB"}))


def make(audience: str = "pool-1", job_id: bytes = b"j" * 16, life: int = 60) -> bytes:
    return new_header(
        job_id=JobId(job_id),
        audience=audience,
        originating_ori="WI0130000",
        requesting_ori="WI0130000",
        sealed_attribution=bytes(284),
        submitter=b"s" * 32,
        purpose_code="C",
        inputs=[InputPart(name="people", schema="person/1")],
        operations=[
            worker_pb2.Operation(
                deidentify=worker_pb2.Deidentify(columns=[worker_pb2.ColumnRule(column="a", keep=worker_pb2.Keep())])
            )
        ],
        kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        wrapped_dek=b"\x07" * 384,
        recipients=[_recipient()],
        created=NOW,
        not_after=NOW + timedelta(seconds=life),
    )


def _parsed(data: bytes) -> Header | None:
    try:
        return parse(data)
    except Refusal as refusal:
        if refusal.reason is not Reason.MALFORMED_HEADER:
            raise
        return None


@given(audience=PRINTABLE, job_id=st.binary(min_size=16, max_size=16).filter(any))
def test_what_is_built_is_parsed_back(audience: str, job_id: bytes) -> None:
    header = parse(make(audience=audience, job_id=job_id))
    assert (header.audience, header.job_id) == (audience, job_id)


TEXTS = {
    name: PRINTABLE if name not in {"secondary_recipient", "case_number"} else PRINTABLE | st.just("")
    for name in ("operator_id", "requestor", "secondary_recipient", "case_number", "reason")
}


@given(st.fixed_dictionaries(TEXTS))
def test_an_attribution_comes_back_from_whole_blocks(texts: dict[str, str]) -> None:
    attribution = Attribution(**texts)
    data = attribution.encode()
    assert Attribution.decode(data) == attribution
    assert len(data) % 256 == 0
    assert len(data) <= LIMITS.attribution_max_bytes


@given(st.binary(max_size=600), st.integers(0, 600))
def test_any_bytes_are_no_attribution_or_the_one_encoding(data: bytes, zeros: int) -> None:
    for each in (data, data + bytes(zeros), data + bytes(-len(data) % 256)):
        with contextlib.suppress(Refusal):
            assert Attribution.decode(each).encode() == each


@given(place=st.integers(0, 255), value=st.integers(0, 255))
def test_a_changed_byte_gives_another_attribution_or_none(place: int, value: int) -> None:
    good = Attribution(operator_id="op", requestor="who", reason="why")
    data = bytearray(good.encode())
    data[place] = value
    with contextlib.suppress(Refusal):
        assert (Attribution.decode(bytes(data)) == good) == (data == good.encode())


@given(st.binary(max_size=2000))
def test_any_bytes_are_no_header_or_one_that_keeps_them(data: bytes) -> None:
    header = _parsed(data)
    assert header is None or header.data == data


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=400)
def test_a_changed_byte_gives_another_header_or_none(place: int, value: int) -> None:
    good = make()
    data = bytearray(good)
    data[place % len(data)] = value
    header = _parsed(bytes(data))
    assert header is None or (header.data == data and (header.sha384 == parse(good).sha384) == (data == good))


@given(cut=st.integers(0, 10_000))
def test_a_cut_header_is_none(cut: int) -> None:
    good = make()
    assert _parsed(good[: cut % len(good)]) is None


@given(tail=st.binary(min_size=1, max_size=64))
def test_nothing_may_follow_a_header(tail: bytes) -> None:
    header = _parsed(make() + tail)
    # A further element of a repeated or a later field is a different, well-formed header; it is never the same one.
    assert header is None or header.data == make() + tail


@given(st.binary(max_size=500))
@example(b"version = 2\nsubmitters = " + b"[" * 5000)
@example(b"version = 1979-05-27T07:32:00Z")
@example(b'version = 2\n"\\uD800" = 1')
def test_any_bytes_are_no_policy(data: bytes) -> None:
    with contextlib.suppress(PolicyInvalid):
        Policy.load(data)
        raise AssertionError("hardly")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kty", "n", "e", "x", "y", "crv", "kid"]), inner, max_size=7)
    ),
    max_leaves=8,
)


@given(st.text(max_size=200) | JSON.map(json.dumps))
@example('{"kty":"RSA","n":"\u0661","e":"AQAB"}')
@example('{"kty":"EC","crv":"P-384","x":"' + "A" * 64 + '","y":"' + "A" * 64 + '"}')
def test_any_text_is_no_key_or_a_value_error(text: str) -> None:
    for parser in (parse_rsa, parse_p384):
        with contextlib.suppress(ValueError):
            parser(text)
            raise AssertionError("hardly")
