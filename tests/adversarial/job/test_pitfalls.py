"""Rows of the pitfall list that the job room answers for; the row's id is in the test's name."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.errors import REASONS, Reason, Stage
from cji_core.format.job import (
    Attribution,
    Grant,
    Header,
    Open,
    Policy,
    PolicyInvalid,
    Recipient,
    RunState,
    Segment,
    Submitter,
    access_request,
    advance,
    check_times,
    parse,
)
from cji_core.format.job import HalfClose as Close
from cji_core.format.records import data_classes
from cji_core.wire.v1 import worker_pb2
from cji_worker.keyholder.replay import decide
from cji_worker.trail.replay_ledger import JobEntry, JobState
from tests.support.job_headers import (
    NOW,
    OPERATION,
    OURS,
    THEIRS,
    make,
)
from tests.support.policies import AGREEMENT, pem, purpose, rule, toml
from tests.support.refusals import refused

CANARY = "canary-7f3a"
LISTS = ("operations", "data_classes", "recipients", "secondary_recipients")
SAN = "spiffe://cji.example/agency/metro-pd"


PURPOSES = toml([purpose("C", rule([OURS.key_id]))])


def policy(*, purposes: str = PURPOSES, extra: str = "") -> bytes:
    key = ec.derive_private_key(7, ec.SECP384R1()).public_key()
    return (
        f'version = 2\n{extra}\n[[submitters]]\nname = "metro-pd"\nsan = "{SAN}"\nsigning_key = """{pem(key)}"""\n'
        f'[[submitters.agencies]]\nori = "WI0130000"\nagreement = {toml(AGREEMENT)}\njobs_per_day = 5\n'
        f"purposes = {purposes}\n"
    ).encode()


def authorised(loaded: Policy, header: Header, by: Submitter | None = None) -> Grant:
    asked = access_request(header, data_classes(part.schema for part in header.inputs))
    return loaded.authorise(asked, by or loaded.submitter(SAN), day=NOW.date())


def malformed(data: bytes) -> None:
    with refused(Reason.MALFORMED_HEADER, stage=Stage.OPEN):
        parse(data)


def encode_varint(value: int, *, pad: int = 0) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value | (0x80 if pad else 0))
    out += b"\x80" * (pad - 1) + (b"\0" if pad else b"")
    return bytes(out)


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (field number, encoded field) pairs of a message made of varints and lengths (protobuf encoding guide)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        start, key = at, varint()
        value = varint()
        at += value if key & 7 == 2 else 0
        yield key >> 3, data[start:at]


def test_e09_the_reading_of_fields_above_is_right() -> None:
    assert b"".join(field for _, field in fields(make())) == make()
    assert [number for number, _ in fields(make())] == [*range(1, 9), *range(11, 20)]


def test_e09_unknown_fields_are_refused_at_every_depth() -> None:
    unknown = b"\xf8\x07\x01"  # field 127, varint 1
    malformed(make() + unknown)
    message = worker_pb2.JobHeader.FromString(make())
    nested = [
        (12, worker_pb2.InputPart(name="people", schema="person/1").SerializeToString()),
        (13, OPERATION.SerializeToString()),
        (16, message.recipients[0].SerializeToString()),
        (17, message.created.SerializeToString()),
    ]
    for number, inner in nested:
        key = encode_varint(number << 3 | 2)
        bad = key + encode_varint(len(inner + unknown)) + inner + unknown
        data = b"".join(bad if found == number else field for found, field in fields(make()))
        malformed(data)


def test_e09_an_unknown_operation_is_refused() -> None:
    operation = encode_varint(99 << 3 | 2) + b"\0"
    bad = encode_varint(13 << 3 | 2) + encode_varint(len(operation)) + operation
    data = b"".join(bad if number == 13 else field for number, field in fields(make()))
    malformed(data)


def test_e09_doubled_singular_fields_are_refused_in_any_order() -> None:
    for number, _ in fields(make()):
        if number not in {12, 13, 16}:
            data = b"".join(each * 2 if found == number else each for found, each in fields(make()))
            malformed(data)
    # A doubled message field would be merged: half of the time of one and half of another.
    late = encode_varint(18 << 3 | 2) + encode_varint(2) + Timestamp(seconds=5).SerializeToString()
    malformed(make() + late)


def test_e09_fields_in_another_order_are_refused() -> None:
    parts = [field for _, field in fields(make())]
    malformed(b"".join(reversed(parts)))
    malformed(b"".join([parts[1], parts[0], *parts[2:]]))


def test_e09_numbers_not_in_their_shortest_form_are_refused() -> None:
    version = encode_varint(1 << 3) + encode_varint(1, pad=1)
    data = b"".join(version if number == 1 else field for number, field in fields(make()))
    assert worker_pb2.JobHeader.FromString(data).version == 1
    malformed(data)
    wide = b"".join(encode_varint(number << 3 | 2, pad=1) + field[1:] if number == 3 else field
                    for number, field in fields(make()))  # fmt: skip
    assert worker_pb2.JobHeader.FromString(wide).audience == "pool-1"
    malformed(wide)


def test_e09_defaults_written_out_are_refused() -> None:
    empty = encode_varint(4 << 3 | 2) + b"\0"
    data = b"".join(empty + field if number == 5 else field for number, field in fields(make()) if number != 4)
    assert worker_pb2.JobHeader.FromString(data).originating_ori == ""
    malformed(data)


def test_e11_a_swapped_recipient_is_denied() -> None:
    loaded = Policy.load(policy())
    assert authorised(loaded, parse(make())).recipients == (OURS.key_id,)
    for recipients in ([THEIRS], [OURS, THEIRS]):
        with refused(Reason.POLICY_DENIED):
            authorised(loaded, parse(make(recipients=recipients)))
    with refused(Reason.MALFORMED_HEADER):  # our name on their key
        make(recipients=[Recipient(key_id=OURS.key_id, jwk=THEIRS.jwk)])


def test_k04_key_addresses_with_url_tricks_make_no_header() -> None:
    version = "ab" * 16
    for url in (
        f"https://v.vault.azure.net:443@evil.example/keys/cmk/{version}",
        f"https://evil.example#v.vault.azure.net/keys/cmk/{version}",
        f"https://v.vault.azure.net\\@evil.example/keys/cmk/{version}",
        f"//v.vault.azure.net/keys/cmk/{version}",
        f"file:///keys/cmk/{version}",
        f"https://v.vault.azure.net/keys/cmk/{version}\n",
        f"https://v.väult.azure.net/keys/cmk/{version}",
    ):
        with refused(Reason.MALFORMED_HEADER):
            make(kek_id=url)


def test_e07_a_stream_cut_at_99_per_cent_is_incomplete() -> None:
    state = advance(RunState(), Open(parts=1))
    for index in range(99):
        size = (1 << 20) + (74 if index == 0 else 0)
        state = advance(state, Segment(part=0, index=index, size=size))
    with refused(Reason.INCOMPLETE):
        advance(state, Close())


def entry_of(state: JobState, header_sha384: bytes) -> JobEntry:
    return JobEntry(state=state, header_sha384=header_sha384, line=0, attempts=1, admitted=0)


def test_f06_of_two_racing_attempts_one_is_refused() -> None:
    header = parse(make())
    decide(None, header.sha384)
    with refused(Reason.ALREADY_EXISTS):
        decide(
            JobEntry(state=JobState.ADMITTED, header_sha384=header.sha384, line=0, attempts=1, admitted=0),
            header.sha384,
        )


def test_f06_a_captured_header_is_worth_a_day_at_most() -> None:
    header = parse(make(not_after=NOW + timedelta(days=365)))
    with refused(Reason.EXPIRED):
        check_times(header, NOW)


@pytest.mark.parametrize("state", JobState)
def test_f07_a_job_id_with_another_body_is_a_replay_at_any_stage(state: JobState) -> None:
    one, two = parse(make()), parse(make(audience="another"))
    assert one.job_id == two.job_id
    with refused(Reason.REPLAYED):
        decide(entry_of(state, one.sha384), two.sha384)


def test_f08_a_clock_that_jumps_back_makes_no_old_job_new() -> None:
    header = parse(make())
    for now in (NOW + timedelta(days=366), NOW - timedelta(days=1)):
        with refused(Reason.EXPIRED):
            check_times(header, now)
    check_times(header, NOW)
    with refused(Reason.ALREADY_EXISTS):
        decide(
            JobEntry(state=JobState.COMPLETED, header_sha384=header.sha384, line=0, attempts=1, admitted=0),
            header.sha384,
        )


@pytest.mark.parametrize(
    "purposes",
    [
        "[]",
        "{}",
        '[{ code = "C" }]',
        toml([purpose("C")]),
        toml([{"rules": [rule([OURS.key_id])]}]),
        *(toml([purpose("C", rule([OURS.key_id], **{name: []}))]) for name in LISTS),
        *(toml([purpose("C", {k: v for k, v in rule([OURS.key_id]).items() if k != name})]) for name in LISTS[:3]),
        toml([purpose("C", {k: v for k, v in rule([OURS.key_id]).items() if k != "limits"})]),
    ],
)
def test_a15_an_empty_or_missing_allow_list_is_no_policy(purposes: str) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.load(policy(purposes=purposes))


@pytest.mark.parametrize("extra", ["allow_unknown = true", "insecure = false", "[defaults]\nallow = true", "debug = 1"])
def test_p02_an_unknown_policy_field_is_refused(extra: str) -> None:
    Policy.load(policy())
    with pytest.raises(PolicyInvalid):
        Policy.load(policy(extra=extra))


def test_p03_a_policy_swapped_before_the_decision_is_refused() -> None:
    old, new = Policy.load(policy()), Policy.load(policy() + b"# changed\n")
    submitter = old.submitter(SAN)
    with refused(Reason.POLICY_DENIED):
        authorised(new, parse(make()), submitter)
    assert authorised(old, parse(make()), submitter).policy_sha384 == old.sha384 != new.sha384


@pytest.mark.parametrize(
    "change", [{"requesting_ori": "WI0140000"}, {"originating_ori": "WI0140000"}, {"purpose_code": "D"}]
)
def test_p05_ori_and_purpose_are_enforced(change: dict[str, object]) -> None:
    loaded = Policy.load(policy())
    with refused(Reason.POLICY_DENIED):
        authorised(loaded, parse(make(**change)))


def test_l01_no_text_of_a_header_is_logged_or_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = ("operator_id", "requestor", "secondary_recipient", "case_number", "reason")
    header = parse(make(audience=CANARY))
    assert isinstance(header, Header)
    by = Attribution(**dict.fromkeys(texts, CANARY))
    said = [repr(header), repr(by)]
    loaded = Policy.load(policy())
    for attempt in (
        lambda: parse(make(audience=CANARY) + b"\xf8\x07\x01"),
        lambda: parse(make(audience=CANARY).replace(CANARY.encode(), CANARY[:-1].encode() + b"\xff")),
        lambda: make(audience=CANARY + "\n"),
        lambda: make(audience=CANARY, kek_id=CANARY),
        lambda: Attribution(**{**dict.fromkeys(texts, CANARY), "reason": CANARY + "\n"}),
        lambda: Attribution.decode(by.encode().rstrip(b"\0")),
        lambda: make(recipients=[Recipient(key_id=CANARY, jwk=json.dumps({"kty": "RSA", CANARY: CANARY}))]),
        lambda: check_times(header, NOW + timedelta(days=2)),
        lambda: authorised(loaded, parse(make(audience=CANARY, purpose_code="D"))),
        lambda: loaded.submitter(CANARY),
    ):
        with refused() as caught:
            attempt()
        said.append(f"{caught.value} {caught.value!r} {caught.value.args}")
    assert CANARY not in " ".join(said)
    assert caplog.records == []


def test_l03_a_refusal_is_made_of_closed_sets_only() -> None:
    for data in (b"", b"\xff" * 100, make() + b"\0"):
        with refused(Reason.MALFORMED_HEADER) as caught:
            parse(data)
        assert str(caught.value) == f"MALFORMED_HEADER at open: {REASONS[Reason.MALFORMED_HEADER].remedy}"
