"""Whatever a call's metadata are, the front takes a strong connection of one named caller, or refuses."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_worker.door.report import CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER
from cji_worker.front.peer import Peer, read_peer
from tests.support.connections import STRONG, TRANSPORT, escaped
from tests.unit.front.test_peer import GOOD, PEM, URI, metadata

NAMES = st.sampled_from([CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER, "cji-peer-", "cji-peer-x", "user-agent"])
VALUES = st.one_of(st.text(max_size=300), st.binary(max_size=300), st.sampled_from([GOOD, STRONG, "[::1]:1"]))
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def outcome(found: list[tuple[str, str | bytes]]) -> Peer | Reason:
    try:
        return read_peer(found)
    except Refusal as refusal:
        return refusal.reason


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_metadata_are_refused_or_the_doors(found: list[tuple[str, str | bytes]]) -> None:
    result = outcome(found)
    if isinstance(result, Peer):
        assert result.transport == TRANSPORT
        assert result.identity == URI
    else:
        assert result is Reason.POLICY_DENIED


@given(address=ADDRESSES, port=st.integers(1, 65535))
def test_every_address_is_read_as_itself(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    source = read_peer(metadata(source=f"[{address}]:{port}")).source
    host, _, number = source.partition(":")[2].rpartition(":")
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert (ipaddress.ip_address(host.strip("[]")), int(number)) == (mapped, port)


@given(st.permutations(metadata()))
def test_the_order_says_nothing(found: list[tuple[str, str | bytes]]) -> None:
    assert read_peer(found).identity == URI


@given(data=st.binary(max_size=400), at=st.integers(0, len(PEM) - 1), bit=st.integers(0, 7))
def test_a_damaged_certificate_is_refused_or_read(data: bytes, at: int, bit: int) -> None:
    flipped = bytearray(PEM)
    flipped[at] ^= 1 << bit
    for each in (escaped(data), escaped(bytes(flipped)), escaped(PEM[:at]), GOOD[:at]):
        result = outcome(metadata(each))
        assert isinstance(result, Peer) or result is Reason.POLICY_DENIED
