"""`python -m cji_deploy.runbooks.answers URL`: whether a service answers with JSON; needs no sign-in."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

_SECONDS: Final = 20
_MOST: Final = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 it answers, 4 it does not, 2 not an address."""
    if len(arguments) != 1 or not arguments[0].startswith("https://"):
        print("usage: python -m cji_deploy.runbooks.answers https://HOST/PATH", file=sys.stderr)
        return 2
    try:
        with urllib.request.urlopen(arguments[0], timeout=_SECONDS) as response:  # noqa: S310 - https only, see above
            json.loads(response.read(_MOST))
    except (urllib.error.URLError, OSError, ValueError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 4
    print("answers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
