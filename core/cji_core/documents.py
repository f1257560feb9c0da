"""Documents as types of msgspec.

* `decode`: JSON in any encoding that `cji_core.strict` accepts; msgspec's own reader keeps the last of two members of
  one name.
* `OneForm`: a type with one encoding, which is compared; then there is nothing left to refuse.
* `toml`, `msgpack`, `msgpack_decoder`, `convert`: as msgspec's functions, for any thread. Of what people write, read by
  `toml` and `convert`, the refusal of a name suggests the one that was meant.

msgspec reads the annotations of a class when the class is first used, and a second thread that uses it meanwhile ends
the process. So one thread at a time does what may be a first use; `tests/unit/test_strict.py` looks for others.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeVar, overload

import msgspec

from cji_core.strict import MAX_DEPTH, StrictError, parse

_T = TypeVar("_T")
_FIRST_USE: Final = threading.RLock()


def decode(data: bytes, kind: type[_T], *, limit: int, depth: int = MAX_DEPTH) -> _T:
    """One JSON value of this type of msgspec. Raises StrictError with the member that does not fit."""
    parse(data, limit=limit, depth=depth)
    with _FIRST_USE:
        decoder = msgspec.json.Decoder(kind)
    return _typed(data, decoder)


def toml(data: bytes | str, kind: type[_T]) -> _T:
    """A TOML document of this type. Raises ValueError with the member that does not fit."""
    with _FIRST_USE:
        try:
            return msgspec.toml.decode(data, type=kind)
        except msgspec.ValidationError as error:
            raise _suggesting(error, kind, msgspec.toml.decode(data)) from None


def msgpack(data: bytes | memoryview, kind: type[_T], *, dec_hook: Callable[[type, Any], Any] | None = None) -> _T:
    """A MessagePack document of this type. Raises ValueError with the member that does not fit."""
    with _FIRST_USE:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=dec_hook)


def msgpack_decoder(kind: object) -> msgspec.msgpack.Decoder[Any]:
    """Reads MessagePack documents of this type, or of these types, from then on."""
    with _FIRST_USE:
        return msgspec.msgpack.Decoder(kind)


@overload
def convert(
    value: object, kind: type[_T], *, str_keys: bool = False, dec_hook: Callable[[type, Any], Any] | None = None
) -> _T: ...


@overload
def convert(
    value: object, kind: object, *, str_keys: bool = False, dec_hook: Callable[[type, Any], Any] | None = None
) -> Any: ...


def convert(
    value: object, kind: Any, *, str_keys: bool = False, dec_hook: Callable[[type, Any], Any] | None = None
) -> Any:
    """A value of dicts, lists and scalars as this type. Raises ValueError with the member that does not fit."""
    with _FIRST_USE:
        try:
            return msgspec.convert(value, kind, str_keys=str_keys, dec_hook=dec_hook)
        except msgspec.ValidationError as error:
            raise _suggesting(error, kind, value) from None


def convert_sent(value: object, kind: type[_T]) -> _T:
    """As `convert`, of what a stranger sent, for any process: a refusal suggests nothing, and imports nothing."""
    with _FIRST_USE:
        return msgspec.convert(value, kind)


class OneForm(Generic[_T]):
    """A type of msgspec whose values have one encoding: compact JSON, members in the order of their definition.

    `order` is msgspec's for the members of maps; `end` stands behind the value, such as a line feed.
    """

    def __init__(
        self, kind: type[_T], *, limit: int, order: Literal["deterministic"] | None = None, end: bytes = b""
    ) -> None:
        with _FIRST_USE:
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


def _suggesting(error: Exception, kind: object, value: object) -> Exception:
    from cji_core.member_suggestions import with_suggestion  # noqa: PLC0415 - for a refusal alone

    return with_suggestion(error, kind, value)
