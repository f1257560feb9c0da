"""Access tokens of Microsoft Entra: the second identity that a worker's policy can require of a submitter.

A token comes from a callback, or from a file that another program renews. It is requested for each call about a job, so
it is never older than its source makes it. It is a secret: no error text, no repr and no log contains it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from cji_client.errors import SpecError
from cji_core.format.job import LIMITS

TokenSource: TypeAlias = Callable[[], str]
"""Returns a valid access token for the worker, without a scheme. Called for each Run and GetReceipt."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_REMEDY: Final = "See docs/entra.md for the sources of tokens."


def token_file(path: Path) -> TokenSource:
    """A source that reads this file for each call."""

    def read() -> str:
        try:
            with path.open("rb") as file:
                data = file.read(LIMITS.token_bytes + 2)
        except OSError as error:
            raise SpecError(f"token_file: {path} cannot be read ({error.strerror})", remedy=_REMEDY) from None
        return data.decode("ascii", "replace").strip()

    return read


def authorization(source: TokenSource | None) -> tuple[tuple[str, str], ...]:
    """The metadata of a call: nothing without a source. SpecError if it returns no token."""
    if source is None:
        return ()
    try:
        token = source()
    except SpecError:
        raise
    except Exception as error:  # noqa: BLE001 - the source is the caller's code, and its text may be the token
        raise SpecError(f"the token callback failed ({type(error).__name__})", remedy=_REMEDY) from None
    if not isinstance(token, str) or len(token) > LIMITS.token_bytes or not _TOKEN.fullmatch(token):
        raise SpecError("the token source returned no access token", remedy=_REMEDY)
    return (("authorization", f"Bearer {token}"),)
