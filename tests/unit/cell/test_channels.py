"""A cell waits for its peers. Its job ends when either of them hangs up, the cell when the keyholder does."""

import threading
from collections.abc import Callable

import pytest

from cji_worker.cell.channels import CellChannels
from cji_worker.ipc import Channel, ChannelClosed, Ring
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    FrontFromCell,
    KeyholderFromCell,
    KeysReady,
    OpenJob,
)

Keyholder = Channel[KeyholderFromCell, CellFromKeyholder]
Front = Channel[FrontFromCell, CellFromFront]


def connected() -> tuple[CellChannels, Keyholder, Front]:
    keyholder, control = Channel.pair()
    front, data = Channel.pair()
    channels = CellChannels(
        control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=Ring.create()
    )
    return channels, Channel(keyholder, KeyholderFromCell), Channel(front, FrontFromCell)


def test_keys_come_after_the_header() -> None:
    channels, keyholder, _ = connected()
    keyholder.send(OpenJob(header=b"h", worker_id="w", max_rows=1, max_bytes=1))
    assert channels.await_open().header == b"h"
    keyholder.close()
    with pytest.raises(ChannelClosed):
        channels.await_keys()
    channels.close()


def test_keys_that_are_ready_are_not_waited_for() -> None:
    channels, keyholder, _ = connected()
    keyholder.send(OpenJob(header=b"h", worker_id="w", max_rows=1, max_bytes=1))
    keyholder.send(KeysReady())
    channels.await_open()
    channels.await_keys()
    channels.close()


@pytest.mark.parametrize("peer", [1, 2], ids=["keyholder", "front"])
@pytest.mark.parametrize("wait", [CellChannels.await_open, CellChannels.await_input, CellChannels.await_keys])
def test_either_peer_can_end_a_job(wait: Callable[[CellChannels], object], peer: int) -> None:
    ends = connected()
    ends[peer].close()
    with pytest.raises(ChannelClosed):
        wait(ends[0])
    ends[0].close()


def test_only_the_keyholder_can_end_a_cell() -> None:
    """Otherwise the end of the cell and the front's reason for it would reach the keyholder in any order."""
    channels, keyholder, front = connected()
    front.close()
    waits = threading.Thread(target=channels.await_end, daemon=True)
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    keyholder.close()
    waits.join(60)
    assert not waits.is_alive()


def test_a_cell_that_waits_for_its_end_hangs_up_on_the_front() -> None:
    channels, keyholder, front = connected()
    keyholder.close()
    channels.await_end()
    with pytest.raises(ChannelClosed):
        front.receive()
