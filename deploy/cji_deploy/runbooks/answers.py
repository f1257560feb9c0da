"""`python -m cji_deploy.runbooks.answers URL`: whether a service answers with JSON; needs no sign-in."""

import ssl
import sys
from collections.abc import Sequence
from typing import Final

from cji_core.https import Client, ExchangeError
from cji_core.strict import parse

__all__ = ["main"]

_SECONDS: Final = 20.0
_OK: Final = 200
_MOST: Final = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 it answers, 4 it does not, 2 not an address."""
    if len(arguments) != 1 or not arguments[0].startswith("https://"):
        print("usage: python -m cji_deploy.runbooks.answers https://HOST/PATH", file=sys.stderr)
        return 2
    try:
        with Client(ssl.create_default_context(), seconds=_SECONDS, limit=_MOST) as client:
            found = client.exchange("GET", arguments[0])
        if found.status != _OK:
            raise ValueError(f"HTTP {found.status}")
        parse(found.body, limit=_MOST)
    except (ExchangeError, OSError, ValueError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 4
    print("answers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
