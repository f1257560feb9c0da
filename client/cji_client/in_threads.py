"""Calls of a synchronous client as coroutines, each in a thread: what asynchronous clients share."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from cji_client.cancellation import Cancellation

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)


class Asynchronous(Protocol[S_co]):
    """A client with coroutines, and the synchronous client that it calls."""

    @property
    def sync(self) -> S_co:
        """The synchronous client."""


def in_thread(
    call: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[Asynchronous[S], P], Coroutine[Any, Any, T]]:
    """The same call as a coroutine."""

    @wraps(call)
    async def run(self: Asynchronous[S], /, *args: P.args, **options: P.kwargs) -> T:
        return await asyncio.to_thread(call, self.sync, *args, **options)

    return run


def cancellable(
    call: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[Asynchronous[S], P], Coroutine[Any, Any, T]]:
    """The same. To cancel the coroutine ends the call, by its argument `cancellation`."""

    @wraps(call)
    async def run(self: Asynchronous[S], /, *args: P.args, **options: P.kwargs) -> T:
        untyped: Callable[..., T] = call
        given = options.get("cancellation")
        cancellation = given if isinstance(given, Cancellation) else Cancellation()
        try:
            return await asyncio.to_thread(untyped, self.sync, *args, **{**options, "cancellation": cancellation})
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

    return run
