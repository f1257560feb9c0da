"""A front that drops, repeats or exchanges segments and renumbers the rest, or lies about what passed.

The second segment of part 0 is the one that it touches. A job's lie stands behind its signature (`peers.told`), and
does not go on to the keyholder; without one the front is honest.
"""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from cji_worker.front import server
from cji_worker.ipc import Channel, receive_boot
from cji_worker.ipc.messages import Admit, InputReady, OutputFreed, OutputReady, SealedPart, Witnessed
from tests.adversarial.peers import heard

INPUTS: Final = ("drops an input", "repeats an input", "exchanges inputs")
OUTPUTS: Final = ("drops an output", "repeats an output", "exchanges outputs")


def _first(parts: tuple[SealedPart, ...], **changes: Any) -> tuple[SealedPart, ...]:
    return (replace(parts[0], counted=replace(parts[0].counted, **changes)), *parts[1:])


STATEMENTS: Final[dict[str, Callable[[Witnessed], Witnessed]]] = {
    "bytes of input": lambda w: replace(w, inputs=_first(w.inputs, bytes=1)),
    "segments of input": lambda w: replace(w, inputs=_first(w.inputs, segments=1 << 40)),
    "tags of input": lambda w: replace(w, inputs=_first(w.inputs, tags_sha256=bytes(32))),
    "no input": lambda w: replace(w, inputs=()),
    "bytes of output": lambda w: replace(w, outputs=_first(w.outputs, bytes=1)),
    "parts exchanged": lambda w: replace(w, outputs=w.outputs[::-1]),
    "another output": lambda w: replace(w, outputs=(*w.outputs, w.outputs[0])),
    "header": lambda w: replace(w, result_header_sha384=bytes(48)),
    "digest of output": lambda w: replace(w, outputs=(replace(w.outputs[0], sha256=bytes(32)), *w.outputs[1:])),
}
"""Of these only the last has a receipt: the client, which has the bytes, refuses it."""


class _Post:
    """What is on its way in one direction, and the numbers that it gets there."""

    def __init__(self) -> None:
        self.lie = ""
        self.queue: deque[Any] = deque()
        self.kept: list[Any] = []
        self.seen = self.passed = 0
        self.reused = -1
        """The slot of a repeated segment, until its first copy is taken from it."""

    def take(self, message: Any) -> None:
        """Queue what becomes of the next segment of part 0."""
        at, self.seen = self.seen, self.seen + 1
        verb = self.lie.split(" ")[0]
        if at == 1 and verb == "drops":
            return
        if at == 1 and verb == "exchanges":
            self.kept.append(message)
            return
        self.queue.append(message)
        if at == 1 and verb == "repeats":
            self.queue.append(message)
            self.reused = message.slot
        self.queue.extend(self.kept)
        self.kept.clear()

    def number(self) -> int:
        """The next index."""
        self.passed += 1
        return self.passed - 1


def main(boot: Any) -> None:
    """Body of the process."""
    inputs, outputs, told = _Post(), _Post(), list[str]()
    send, receive = Channel.send, Channel.receive_async

    def sending(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        match message:
            case Admit():
                message, lie = heard(message)
                for post, lies in ((inputs, INPUTS), (outputs, OUTPUTS)):
                    post.__init__()  # type: ignore[misc]
                    post.lie = lie if lie in lies else ""
                told[:] = [lie]
            case Witnessed() if told[0] in STATEMENTS:
                message = STATEMENTS[told[0]](message)
            case InputReady(part=0) if inputs.lie:
                inputs.take(message)
                while inputs.queue:
                    send(self, inputs.queue.popleft())
                return
            case OutputFreed(slot=slot) if slot == outputs.reused:
                outputs.reused = -1
                return
        send(self, message, fds)

    async def receiving(self: Any) -> tuple[Any, list[int]]:
        while outputs.lie:
            if outputs.queue:
                return replace(outputs.queue.popleft(), index=outputs.number()), []
            message, fds = await receive(self)
            if not (isinstance(message, OutputReady) and message.part == 0):
                return message, fds
            outputs.take(message)
            if not outputs.queue and not outputs.kept:
                send(self, OutputFreed(slot=message.slot))
        return await receive(self)

    Channel.send, Channel.receive_async = sending, receiving  # type: ignore[method-assign]
    server.main(boot)


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
