"""A destination that gets every event of the trail, in order, at least once under the same id."""

from contextlib import closing
from pathlib import Path

from cji_core.errors import StartupError
from cji_core.format.configuration.sinks import MappingName
from cji_core.trail.delivered import CursorError, read_position, write_position
from cji_core.trail.delivery import Delivered, DeliveryError
from cji_core.trail.segments import PrunedError
from cji_core.trail.trail import START, after
from cji_worker.deliverer.sinks.batch import Carrier, next_batch
from cji_worker.service_https import TooLargeError


class Sink:
    """Reads the trail from its own position, and remembers one only after the carrier's acknowledgement is in."""

    def __init__(self, name: str, carrier: Carrier, mapping: MappingName, *, trail: Path, state: Path) -> None:
        """Raises StartupError if its file in `state` cannot be used."""
        self._name, self._carrier, self._mapping = name, carrier, mapping
        self._trail, self._state = trail, state
        self._most = carrier.max_events
        try:
            self._position = read_position(state, name) or START
        except CursorError as error:
            raise StartupError(
                f"The delivery state of {name} in {state} cannot be read",
                "Remove that file: everything is then delivered again, under the same ids.",
            ) from error

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._name

    def advance(self) -> Delivered:
        """Deliver one batch; see `Destination`."""
        try:
            with closing(after(self._trail, self._position)) as lines:
                batch = next_batch(lines, self._carrier, self._mapping, max_events=self._most)
        except PrunedError as error:
            raise DeliveryError(f"{error} before it got them; remove its file to go on with the next line") from error
        except OSError as error:
            raise DeliveryError("the trail cannot be read") from error
        if batch is not None:
            try:
                self._carrier.send(batch.events)
            except TooLargeError:
                self._most = max(1, len(batch.events) // 2)
                raise
            self._most = min(self._carrier.max_events, 2 * self._most)
            try:
                write_position(self._state, self._name, batch.last)
            except OSError as error:
                raise DeliveryError("the delivery state cannot be written") from error
            self._position = batch.last
        return Delivered(seq=self._position.seq, hash=self._position.hash)
