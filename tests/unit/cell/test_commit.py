"""A cell that has its Commit lets its last segments go, whatever the keyholder does and however slow the reader is."""

import pytest

from worker.cell.wires import Wires
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


def wired() -> tuple[Wires, Channel[KeyholderFromCell, CellFromKeyholder], Channel[FrontFromCell, CellFromFront]]:
    keyholder, control = Channel.pair()
    front, data = Channel.pair()
    wires = Wires(control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=Ring.create())
    return wires, Channel(keyholder, KeyholderFromCell), Channel(front, FrontFromCell)


def test_keyholder_hangs_up_behind_its_commit_while_all_slots_are_full() -> None:
    wires, keyholder, front = wired()
    for _ in range(SLOTS):
        wires.await_output_slot()
    keyholder.send(Commit())
    keyholder.close()
    wires.await_commit()
    front.send(OutputFreed(slot=2))
    assert wires.await_output_slot() == 2
    front.close()
    wires.close()


def test_keyholder_hangs_up_instead_of_commit() -> None:
    wires, keyholder, front = wired()
    keyholder.close()
    with pytest.raises(ChannelClosed):
        wires.await_commit()
    front.close()
    wires.close()
