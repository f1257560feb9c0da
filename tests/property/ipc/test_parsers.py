"""Any bytes on a channel are a message or the end of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc import messages as m

KINDS = [
    m.KeyholderFromFront,
    m.FrontFromKeyholder,
    m.KeyholderFromZygote,
    m.KeyholderFromCell,
    m.CellFromKeyholder,
    m.CellFromFront,
    m.FrontFromCell,
]
NAMES = sorted(name for name in m.__all__ if isinstance(getattr(m, name), type))


@given(kind=st.sampled_from(KINDS), data=st.binary(min_size=1, max_size=200))
@settings(max_examples=300)
def test_any_bytes(kind: Any, data: bytes) -> None:
    _check(kind, data)


@given(
    kind=st.sampled_from(KINDS),
    name=st.sampled_from(NAMES),
    fields=st.dictionaries(
        st.sampled_from(["call", "slot", "part", "index", "length", "reason", "stage", "header", "inputs", "x"]),
        st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8) | st.binary(max_size=8),
        max_size=5,
    ),
)
@settings(max_examples=300)
def test_any_fields(kind: Any, name: str, fields: dict[str, Any]) -> None:
    import msgspec

    _check(kind, msgspec.msgpack.encode({"type": name, **fields}))


def _check(kind: Any, data: bytes) -> None:
    ours, theirs = Channel.pair()
    channel: Channel[Any, Any] = Channel(theirs, kind)
    try:
        ours.send(data)
        try:
            message, fds = channel.receive()
        except ChannelClosed:
            return
        assert isinstance(message, m.Message)
        assert fds == []
    finally:
        ours.close()
        channel.close()


def test_the_check_above_lets_messages_through() -> None:
    ours, theirs = Channel.pair()
    sender, receiver = Channel[Any, m.Finish](ours, m.CellFromFront), Channel[Any, Any](theirs, m.CellFromFront)
    sender.send(m.Finish())
    assert receiver.receive()[0] == m.Finish()
    with pytest.raises(TypeError):
        m.Finish(1)
