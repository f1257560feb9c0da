"""A cell waits for its peers, and ends when either of them hangs up."""

from collections.abc import Callable

import pytest

from worker.cell.channels import CellChannels
from worker.ipc import Channel, ChannelClosed, Ring
from worker.ipc.messages import CellFromFront, CellFromKeyholder, FrontFromCell, KeyholderFromCell, KeysReady, OpenJob

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
    keyholder.send(OpenJob(header=b"h", worker_id="w"))
    assert channels.await_open().header == b"h"
    keyholder.close()
    with pytest.raises(ChannelClosed):
        channels.await_keys()
    channels.close()


def test_keys_that_are_ready_are_not_waited_for() -> None:
    channels, keyholder, _ = connected()
    keyholder.send(OpenJob(header=b"h", worker_id="w"))
    keyholder.send(KeysReady())
    channels.await_open()
    channels.await_keys()
    channels.close()


@pytest.mark.parametrize("peer", [1, 2], ids=["keyholder", "front"])
@pytest.mark.parametrize("wait", [CellChannels.await_open, CellChannels.await_input, CellChannels.await_keys])
def test_either_peer_can_end_a_cell(wait: Callable[[CellChannels], object], peer: int) -> None:
    ends = connected()
    ends[peer].close()
    with pytest.raises(ChannelClosed):
        wait(ends[0])
    ends[0].await_end()
    ends[0].close()
