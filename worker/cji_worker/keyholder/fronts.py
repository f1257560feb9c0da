"""The channels to the fronts: what concerns a call goes to the front that has it, and comes from that one alone.

A front that names another's call is hostile: it counts as gone, and the worker ends.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from cji_core.log import log
from cji_worker.fronts import FRONT_NAMES, front_of
from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc.messages import (
    Admitted,
    Attested,
    Completed,
    Drained,
    Ended,
    FetchedReceipt,
    FrontFromKeyholder,
    GivenUp,
    Identities,
    KeyholderFromFront,
    NotReady,
    Ready,
    RefusedCalls,
    Settled,
    Stated,
    StatementsWanted,
)

Answer: TypeAlias = (
    Admitted | Ended | Completed | Stated | StatementsWanted | Attested | FetchedReceipt | Settled | GivenUp
)
Front: TypeAlias = Channel[KeyholderFromFront, FrontFromKeyholder]
_OF_NO_CALL: Final = (RefusedCalls, Drained)


class Fronts:
    """The fronts by their numbers. One that has drained gets nothing any more."""

    def __init__(self, channels: Sequence[Front]) -> None:
        self._channels = channels
        self._drained = set[int]()

    def __len__(self) -> int:
        return len(self._channels)

    def send(self, answer: Answer, fds: Sequence[int] = ()) -> None:
        """Send the front of a call an answer to it. Raises ChannelClosed."""
        self._channels[front_of(answer.call)].send(answer, fds)

    def broadcast(self, message: Identities | Ready | NotReady) -> None:
        """Send every front a message. Raises ChannelClosed."""
        for number, channel in enumerate(self._channels):
            if number not in self._drained:
                channel.send(message)

    async def receive(self, number: int) -> KeyholderFromFront | None:
        """The next message of a front, None once it has drained. Raises ChannelClosed."""
        message, _ = await self._channels[number].receive_async()
        if isinstance(message, Drained):
            self._drained.add(number)
            return None
        if not isinstance(message, _OF_NO_CALL) and front_of(message.call) != number:
            log("hostile front", what=FRONT_NAMES[number])
            raise ChannelClosed
        return message
