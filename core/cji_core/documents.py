"""JSON documents as types of msgspec, whose own reader keeps the last of two members of one name.

* `decode`: a document in any encoding that `cji_core.strict` accepts.
* `OneForm`: a type with one encoding, which is compared; then there is nothing left to refuse.
"""

from typing import Final, Generic, Literal, TypeVar

import msgspec

from cji_core.strict import MAX_DEPTH, StrictError, parse

_T = TypeVar("_T")


def decode(data: bytes, kind: type[_T], *, limit: int, depth: int = MAX_DEPTH) -> _T:
    """One JSON value of this type of msgspec. Raises StrictError with the member that does not fit."""
    parse(data, limit=limit, depth=depth)
    return _typed(data, msgspec.json.Decoder(kind))


class OneForm(Generic[_T]):
    """A type of msgspec whose values have one encoding: compact JSON, members in the order of their definition.

    `order` is msgspec's for the members of maps; `end` stands behind the value, such as a line feed.
    """

    def __init__(
        self, kind: type[_T], *, limit: int, order: Literal["deterministic"] | None = None, end: bytes = b""
    ) -> None:
        self._decoder: Final = msgspec.json.Decoder(kind)
        self._encoder: Final = msgspec.json.Encoder(order=order)
        self._limit, self._end = limit, end

    def encode(self, value: _T) -> bytes:
        """The bytes that `decode` reads. Raises StrictError for a value that it would refuse."""
        try:
            data = self._encoder.encode(value) + self._end
        except (ValueError, TypeError, RecursionError) as error:
            raise StrictError(str(error)) from error
        self.decode(data)
        return data

    def decode(self, data: bytes) -> _T:
        """The value. Raises StrictError with the member that does not fit, or for another encoding."""
        if len(data) > self._limit:
            raise StrictError("too long")
        value = _typed(data, self._decoder)
        if self._encoder.encode(value) + self._end != data:
            raise StrictError("not in its one form")
        return value


def _typed(data: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's errors and UnicodeError are ValueErrors
        raise StrictError(str(error)) from error
