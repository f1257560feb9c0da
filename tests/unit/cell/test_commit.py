"""A cell that has its Commit lets its last segments go, whatever the keyholder does and however slow the reader is."""

import pytest

from worker.cell.channels import CellChannels
from worker.ipc import Channel, ChannelClosed, Ring
from worker.ipc.limits import SLOTS
from worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    Commit,
    FrontFromCell,
    KeyholderFromCell,
    OutputFreed,
)


def connected() -> tuple[
    CellChannels, Channel[KeyholderFromCell, CellFromKeyholder], Channel[FrontFromCell, CellFromFront]
]:
    keyholder, control = Channel.pair()
    front, data = Channel.pair()
    channels = CellChannels(
        control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=Ring.create()
    )
    return channels, Channel(keyholder, KeyholderFromCell), Channel(front, FrontFromCell)


def test_keyholder_may_hang_up_after_commit_with_all_slots_full() -> None:
    channels, keyholder, front = connected()
    for _ in range(SLOTS):
        channels.await_output_slot()
    keyholder.send(Commit())
    keyholder.close()
    channels.await_commit()
    front.send(OutputFreed(slot=2))
    assert channels.await_output_slot() == 2
    front.close()
    channels.close()


def test_keyholder_hangs_up_instead_of_commit() -> None:
    channels, keyholder, front = connected()
    keyholder.close()
    with pytest.raises(ChannelClosed):
        channels.await_commit()
    front.close()
    channels.close()
