"""Boot logs: what a verifier finds in them, and that any bytes are a log or an error."""

import contextlib
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_simulator import measured_boot
from cji_simulator.measured_boot import BOOT, Measurement, encode, replay

HEADER = len(encode(()))


def slowly(measurements: tuple[Measurement, ...], pcr: int) -> bytes:
    value = bytes(32)
    for one in measurements:
        if one.pcr == pcr:
            value = hashlib.sha256(value + one.digest).digest()
    return value


def test_replay_is_one_extension_after_the_other() -> None:
    assert replay(encode(BOOT)) == {pcr: slowly(BOOT, pcr) for pcr in (*range(8), 9, 11)}


def test_a_boot_without_drivers_leaves_the_separator_alone() -> None:
    """The value that real machines show in PCR 2, 3 and 6, of SHA-256."""
    found = replay(encode(BOOT))
    assert found[2] == found[3] == found[6]
    assert found[2].hex() == "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969"


def test_the_header_names_the_sha256_bank() -> None:
    """TCG PC Client Platform Firmware Profile, TCG_EfiSpecIDEvent."""
    pcr, kind, digest, size = struct.unpack_from("<II20sI", encode(()))
    assert (pcr, kind, digest, size) == (0, 3, bytes(20), HEADER - 32)
    assert encode(())[32:48] == b"Spec ID Event03\0"
    assert struct.unpack_from("<IHH", encode(()), 56) == (1, 0x000B, 32)


def test_what_is_for_information_only_is_not_extended() -> None:
    note = Measurement(pcr=0, kind=3, data=b"StartupLocality\0\3", digest=bytes(32))
    assert replay(encode((note, *BOOT))) == replay(encode(BOOT))


@pytest.mark.parametrize("at", [HEADER - 1, HEADER + 1, HEADER + 50, len(encode(BOOT)) - 1])
def test_a_cut_log(at: int) -> None:
    with pytest.raises(ValueError, match="log"):
        replay(encode(BOOT)[:at])


@pytest.mark.parametrize(
    ("layout", "value"), [(("<I", 0), 24), (("<I", 8), 0), (("<I", 8), 2), (("<H", 12), 4), (("<I", 46), 1 << 17)]
)
def test_an_event_of_another_kind(layout: tuple[str, int], value: int) -> None:
    log = bytearray(encode(BOOT))
    struct.pack_into(layout[0], log, HEADER + layout[1], value)
    with pytest.raises(ValueError, match="log"):
        replay(bytes(log))


def test_data_of_a_firmware_variable_are_what_was_measured() -> None:
    """Secure boot cannot be written into the log of a machine that booted without it."""
    off = next(one for one in BOOT if "SecureBoot".encode("utf-16-le") in one.data)
    forged = Measurement(pcr=off.pcr, kind=off.kind, data=off.data[:-1] + b"\0", digest=off.digest)
    with pytest.raises(ValueError, match="digest"):
        replay(encode([forged if one is off else one for one in BOOT]))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(data: bytes, after_header: bool) -> None:
    with contextlib.suppress(ValueError):
        assert all(len(value) == 32 for value in replay(encode(()) + data if after_header else data).values())


measurement = st.builds(
    lambda pcr, data: Measurement(pcr=pcr, kind=0xD, data=data, digest=hashlib.sha256(data).digest()),
    st.integers(0, 23),
    st.binary(max_size=40),
)


@given(st.lists(measurement, max_size=8))
def test_any_log(measurements: list[Measurement]) -> None:
    assert list(measured_boot._read(encode(measurements))) == measurements
