"""`pool` of client.toml: the part of a profile that the worker's operator hands out, in a file of its own."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any


def over_pool(
    path: Path, read: Callable[[Path], dict[str, Any]], *, either: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The tables that `read` returns for a profile, over those of the file that it names as `pool`, if it does.

    A section that both have has the entries of both, the profile's before the other's. ValueError for another `pool`
    than a name. Of two names in `either`, which stand for one thing, the profile's takes the place of the other in the
    file. A further `pool`, in that file, stays as a member that no reader knows.
    """
    own = read(path)
    pool = own.pop("pool", None)
    if pool is None:
        return own
    if not isinstance(pool, str):
        raise ValueError("pool is the name of a file")
    below = read(path.parent / pool)
    for one, other in (*either, *((other, one) for one, other in either)):
        if one in own and other not in own:
            below.pop(other, None)
    merged = {
        name: {**below[name], **value} if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in own.items()
    }
    return {**below, **merged}
