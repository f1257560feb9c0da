"""Any bytes into a reader of what auditors bring: a value, or an AttestationError. What is stated is what is read."""

import functools
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal import check_timestamp
from cji_attestation.appraisal.corim import read_corim
from cji_attestation.appraisal.corim.cose import parse_cbor
from cji_attestation.evidence.imds import read_thim
from cji_attestation.evidence.imported import read_collateral, read_quote, read_trustee
from cji_attestation.evidence.tpm_structures import selected_pcrs
from tests.support.corim_forge import AMD, INTEL, NOW, corim, intel_triple, measurement, oid_bytes, raw, snp_triple
from tests.support.import_forge import VALUES, collateral, oldest, quote, serialized, thim, versioned
from tests.support.tsa_forge import tsa

CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=20) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-200, 200) | st.text(max_size=4), inner, max_size=4)
        | st.builds(CBORTag, st.sampled_from([1, 32, 111, 501, 506, 552, 560, 60010, 60020]), inner)
    ),
    max_leaves=12,
)
TAGS = frozenset({1, 32, 111, 501, 506, 552, 560, 60010, 60020})
MESSAGE = b"what is stamped"

READERS: dict[str, tuple[Callable[[bytes], object], Callable[[], bytes]]] = {
    "corim": (lambda data: read_corim(data, key=None, now=NOW), corim),
    "timestamp": (lambda data: check_timestamp(data, MESSAGE, tsa().roots), lambda: tsa().response(MESSAGE)),
    "trustee": (read_trustee, versioned),
    "trustee-0": (read_trustee, oldest),
    "collateral": (read_collateral, collateral),
    "thim": (lambda data: read_thim(data, fault=Fault.EVIDENCE_INVALID), thim),
    "pcrs": (lambda data: read_quote(quote().message, quote().signature, data), lambda: serialized(VALUES)),
    "selection": (selected_pcrs, lambda: bytes(10)),
}


SOUND = {name: functools.cache(make) for name, (_, make) in READERS.items()}


def value_or_error(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except AttestationError as error:
        found = error
    else:
        return
    assert found.check
    assert str(found)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=400))
def test_any_bytes(name: str, data: bytes) -> None:
    value_or_error(READERS[name][0], data)


@pytest.mark.parametrize("name", READERS)
@given(draw=st.data())
def test_sound_bytes_with_one_change(name: str, draw: st.DataObject) -> None:
    read, data = READERS[name][0], bytearray(SOUND[name]())
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    value_or_error(read, bytes(data))


@given(value=CBOR)
def test_cbor_is_read_as_it_was_written(value: Any) -> None:
    assert parse_cbor(cbor2.dumps(value), limit=1 << 16, tags=TAGS) == value


@given(value=CBOR)
def test_any_value_in_a_corim(value: Any) -> None:
    for at in (1, 3, 4):
        value_or_error(READERS["corim"][0], corim(changes={at: value}))
    for tag in (CBORTag(506, cbor2.dumps(value)), CBORTag(506, cbor2.dumps({1: {0: "t"}, 4: {0: [value]}}))):
        value_or_error(READERS["corim"][0], corim(changes={1: [tag]}))
    environment, _ = snp_triple()
    value_or_error(READERS["corim"][0], corim([environment, [{0: 641, 1: value}]]))
    for number in (1, 2, 641, 647, 648):
        value_or_error(READERS["corim"][0], corim(snp_triple({number: {0: number, 1: {1: value}}})))
        value_or_error(READERS["corim"][0], corim(snp_triple({number: {0: number, 1: {4: value}}})))
    for number in (-71, -83, -86, -88):
        value_or_error(READERS["corim"][0], corim(intel_triple({number: value}), profile=oid_bytes(INTEL)))


@given(
    digests=st.lists(st.binary(min_size=48, max_size=48).filter(any), min_size=1, max_size=4),
    svn=st.integers(0, (1 << 32) - 1),
    policy=st.integers(0, (1 << 64) - 1),
    levels=st.tuples(*[st.integers(0, 255)] * 4),
)
def test_what_amds_profile_states_is_what_is_read(
    digests: list[bytes], svn: int, policy: int, levels: tuple[int, int, int, int]
) -> None:
    loader, tee, snp, microcode = levels
    tcb = loader | tee << 8 | snp << 48 | microcode << 56
    changes = {
        1: measurement(1, svn=svn),
        2: measurement(2, raw=raw(policy.to_bytes(8, "big"))),
        641: measurement(641, digests=[["sha-384", one] for one in digests]),
        647: measurement(647, svn=CBORTag(553, tcb)),
    }
    found = read_corim(corim(snp_triple(changes), profile=AMD), key=None, now=NOW)
    assert found.measurements == tuple(dict.fromkeys(one.hex() for one in digests))
    (key,) = found.id_keys
    assert (key.least_guest_svn, key.policies) == ({"Genoa": svn}, (policy,))
    floor = found.floors["Genoa"]
    assert (floor.bootloader, floor.tee, floor.snp, floor.microcode, floor.fmc) == (*levels, 0)


@given(
    digests=st.lists(st.binary(min_size=48, max_size=48).filter(any), min_size=1, max_size=4),
    number=st.integers(1, (1 << 32) - 1),
    member=st.booleans(),
)
def test_what_intels_profile_states_is_what_is_read(digests: list[bytes], number: int, member: bool) -> None:
    stated = [[7, one] for one in digests]
    values = {-83: CBORTag(60020, [6, stated]) if member else stated, -86: CBORTag(60010, [2, number])}
    found = read_corim(corim(intel_triple(values), profile=oid_bytes(INTEL)), key=None, now=NOW)
    assert [one.digest for one in found.mrtds] == list(dict.fromkeys(one.hex() for one in digests))
    assert found.tcb_evaluation == number


@given(values=st.lists(st.binary(min_size=32, max_size=32), min_size=24, max_size=24), size=st.integers(1, 8))
def test_pcrs_of_tpm2_tools_are_read_in_their_order(values: list[bytes], size: int) -> None:
    for data in (b"".join(values), serialized(tuple(values), per_list=size)):
        assert read_quote(quote().message, quote().signature, data).pcrs == tuple(values)
