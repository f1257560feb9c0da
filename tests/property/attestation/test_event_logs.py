"""Event logs: replay against a slow twin, and any bytes are a log or an error."""

import hashlib
import json
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import AttestationError, Fault
from cji_attestation.evidence import Event, read_logs, replay
from cji_attestation.evidence.event_log import (
    MAX_EVENTS,
    MAX_FIRMWARE_LOG,
    MAX_USERSPACE_LOG,
    after_start,
    start_event,
    start_record,
)
from cji_simulator.measured_boot import BOOT, USERSPACE, Measurement, encode, record
from tests.support.refusals import rejected

SHA1, SHA256, SHA384 = 0x0004, 0x000B, 0x000C
SIZES = {SHA1: 20, SHA256: 32, SHA384: 48}

measurements = st.builds(
    Measurement,
    pcr=st.integers(0, 23),
    kind=st.sampled_from([0x1, 0x3, 0x4, 0x6, 0xD, 0x80000001]),
    data=st.binary(max_size=30),
    digest=st.binary(min_size=32, max_size=32),
)


def header(banks: Sequence[int], *, vendor: bytes = b"", **changed: int) -> bytes:
    """TCG_PCR_EVENT with a TCG_EfiSpecIDEvent of these banks."""
    event = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, changed.get("count", len(banks)))
    event += b"".join(struct.pack("<HH", bank, changed.get("size", SIZES[bank])) for bank in banks)
    event += struct.pack("<B", len(vendor)) + vendor
    size = changed.get("length", len(event))
    return struct.pack("<II20sI", changed.get("pcr", 0), changed.get("kind", 3), bytes(20), size) + event


def event2(one: Measurement, banks: Sequence[int], **changed: int) -> bytes:
    digests = b"".join(
        struct.pack("<H", bank) + (one.digest if bank == SHA256 else b"\x5a" * SIZES[bank]) for bank in banks
    )
    head = struct.pack("<III", one.pcr, one.kind, changed.get("count", len(banks)))
    return head + digests + struct.pack("<I", changed.get("size", len(one.data))) + one.data


def slowly(events: Sequence[Measurement]) -> list[bytes]:
    values = [bytes(32) for _ in range(16)]
    for one in events:
        if one.kind != 3 and one.pcr < 16:
            values[one.pcr] = hashlib.sha256(values[one.pcr] + one.digest).digest()
    return values


@given(
    events=st.lists(measurements, max_size=20),
    banks=st.permutations([SHA1, SHA256, SHA384]),
    order=st.permutations([SHA1, SHA256, SHA384]),
    vendor=st.binary(max_size=9),
)
def test_a_log_with_any_banks_in_any_order(
    events: list[Measurement], banks: list[int], order: list[int], vendor: bytes
) -> None:
    """Hyper-V's firmware writes the digests of an event in another order than its header names."""
    log = header(banks, vendor=vendor) + b"".join(event2(one, order) for one in events)
    found = read_logs(log, b"")
    assert [(one.pcr, one.kind, one.digest, one.data) for one in found] == [
        (one.pcr, one.kind, one.digest, one.data) for one in events
    ]
    assert {one.source for one in found} <= {"firmware"}
    assert list(replay(found)) == slowly(events)


@given(texts=st.lists(st.tuples(st.integers(0, 23), st.text(st.characters(codec="utf-8"), max_size=20)), max_size=8))
def test_a_userspace_log(texts: list[tuple[int, str]]) -> None:
    events = [
        Measurement(pcr=pcr, kind=0, data=text.encode(), digest=hashlib.sha256(text.encode()).digest())
        for pcr, text in texts
    ]
    found = read_logs(b"", b"".join(map(record, events)))
    assert [(one.pcr, one.measured, one.source) for one in found] == [
        (pcr, text.encode(), "userspace") for pcr, text in texts
    ]
    assert list(replay(found)) == slowly(events)


def log_or_error(data: bytes, firmware: bool) -> None:
    try:
        replay(read_logs(data, b"") if firmware else read_logs(b"", data))
    except AttestationError as error:
        found = (error.fault, error.check)
    else:
        return
    assert found == (Fault.EVIDENCE_INVALID, "event-log")


@given(data=st.binary(max_size=300), firmware=st.booleans())
@settings(max_examples=300)
def test_any_bytes_are_a_log_or_an_error(data: bytes, firmware: bool) -> None:
    log_or_error(data, firmware)


@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 40), firmware=st.booleans())
@settings(max_examples=300)
def test_a_damaged_log_is_a_log_or_an_error(at: int, value: int, cut: int, firmware: bool) -> None:
    sound = bytearray(encode(BOOT) if firmware else b"".join(map(record, USERSPACE)))
    sound[at % len(sound)] = value
    data = bytes(sound[: len(sound) - cut])
    log_or_error(data, firmware)


ONE = BOOT[0]


@pytest.mark.parametrize(
    "log",
    [
        header([SHA256])[:-1],
        header([SHA256], pcr=1),
        header([SHA256], kind=4),
        header([SHA256], length=32),
        header([SHA256], length=34) + b"\0",
        header([SHA256], size=20),
        header([SHA1]),
        header([SHA256, SHA256]),
        header([]),
        header([SHA256] * 17),
        header([SHA256], count=17),
        header([SHA256]).replace(b"Event03", b"Event02"),
        header([SHA256]).replace(bytes(20), bytes(19) + b"\1", 1),
        header([SHA256]) + event2(ONE, [SHA256])[:-1],
        header([SHA256]) + event2(ONE, [SHA256], size=1 << 31),
        header([SHA256]) + event2(ONE, [SHA256, SHA1]),  # a bank that the header does not have
        header([SHA1, SHA256]) + event2(ONE, [SHA1]),
        header([SHA1, SHA256]) + event2(ONE, [SHA256, SHA256]),
        header([SHA256]) + event2(ONE, [], count=0),
        header([SHA256]) + event2(ONE, [SHA256], count=1 << 31),
        header([SHA256]) + event2(Measurement(pcr=24, kind=4, data=b"", digest=bytes(32)), [SHA256]),
        encode([ONE] * (MAX_EVENTS + 1)),
        header([SHA256]) + event2(Measurement(pcr=0, kind=3, data=bytes(MAX_FIRMWARE_LOG), digest=bytes(32)), [SHA256]),
    ],
)
def test_malformed_firmware_logs(log: bytes) -> None:
    with rejected("event-log", fault=Fault.EVIDENCE_INVALID):
        read_logs(log, b"")


def test_bounds_are_those_of_the_log() -> None:
    assert (
        len(read_logs(encode([Measurement(pcr=4, kind=4, data=b"", digest=bytes(32))] * MAX_EVENTS), b"")) == MAX_EVENTS
    )
    note = Measurement(pcr=0xFFFFFFFF, kind=3, data=b"for information", digest=bytes(32))
    assert replay(read_logs(header([SHA256]) + event2(note, [SHA256]), b"")) == (bytes(32),) * 16


def row(**changed: object) -> bytes:
    digest = {"hashAlg": "sha256", "digest": "00" * 32}
    whole: dict[str, object] = {"pcr": 11, "digests": [digest], "content": {"string": "x"}}
    return b"\x1e" + json.dumps({k: v for k, v in (whole | changed).items() if v != "left out"}).encode()


@pytest.mark.parametrize(
    "log",
    [
        b"x" + row(),
        b"{}",
        b"\x1e",
        b"\x1e[]",
        b'\x1e{"pcr":1,"pcr":2}',
        row(pcr=24),
        row(pcr=-1),
        row(pcr="11"),
        row(digests=[]),
        row(digests=[{"hashAlg": "sha1", "digest": "00" * 20}]),
        row(digests=[{"hashAlg": "sha256", "digest": "00" * 31}]),
        row(digests=[{"hashAlg": "sha256", "digest": "zz" * 32}]),
        row(digests=[{"hashAlg": "sha256", "digest": "00" * 32}] * 2),
        row(digests="left out"),
        row(content={"string": 7}),
        row() * (MAX_EVENTS + 1),
        row(content={"string": "x" * MAX_USERSPACE_LOG}),
    ],
)
def test_malformed_userspace_logs(log: bytes) -> None:
    with rejected("event-log", fault=Fault.EVIDENCE_INVALID):
        read_logs(b"", log)


def test_records_of_nv_indices_and_without_text() -> None:
    assert read_logs(b"", row(pcr="left out", nv_index=0x1D10200)) == ()
    (event,) = read_logs(b"", row(content="left out"))
    assert event == Event(11, 0, bytes(32), b"", "userspace")
    assert event.measured is None


@pytest.mark.parametrize(("number", "sound"), [(0, True), (3, True), (4, True), (1, False), (255, False)])
def test_localities(number: int, sound: bool) -> None:
    note = Measurement(pcr=0, kind=3, data=b"StartupLocality\0" + bytes([number]), digest=bytes(32))
    events = read_logs(encode([note]), b"")
    if sound:
        assert replay(events)[0] == bytes(31) + bytes([number])
    else:
        with rejected("event-log"):
            replay(events)
    with rejected("event-log"):
        replay(read_logs(encode([Measurement(pcr=0, kind=3, data=b"StartupLocality\0", digest=bytes(32))]), b""))


def test_a_locality_counts_at_the_start_of_pcr_0_only() -> None:
    note = Measurement(pcr=0, kind=3, data=b"StartupLocality\0\3", digest=bytes(32))
    elsewhere = Measurement(pcr=1, kind=3, data=b"StartupLocality\0\3", digest=bytes(32))
    other = Measurement(pcr=4, kind=4, data=b"", digest=bytes(32))
    nothing = Measurement(pcr=0, kind=3, data=b"StartupLocation\0\3", digest=bytes(32))
    assert replay(read_logs(encode([nothing]), b""))[0] == bytes(32)
    assert replay(read_logs(encode([elsewhere]), b""))[:2] == (bytes(32), bytes(32))
    assert replay(read_logs(encode([ONE, note]), b"")) == replay(read_logs(encode([ONE]), b""))
    assert replay(read_logs(encode([ONE, other, note]), b"")) == replay(read_logs(encode([ONE, other]), b""))
    assert replay(read_logs(encode([other, note]), b""))[0] == bytes(31) + b"\3"


def test_the_start_of_a_worker() -> None:
    key = bytes(range(32))
    assert start_event(key) == b"cji-worker-start:" + key.hex().encode()
    (event,) = read_logs(b"", start_record(key))
    assert (event.pcr, event.measured) == (15, start_event(key))
    assert replay([event])[15] == after_start(bytes(32), key)
    for wrong in (b"", bytes(31), bytes(33)):
        with rejected("receipt-key-length", fault=Fault.CONFIG_INVALID):
            start_event(wrong)
