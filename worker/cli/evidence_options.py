"""The cloud, and the data that a quote carries, as options of several verbs of `cji evidence`."""

from typing import Final

import click

from worker.cli.common import Failure

QUALIFYING_BYTES: Final = 32
CLOUD: Final = click.option(
    "--cloud", default="azure-us", show_default=True, help="The cloud whose roots a bare bundle is checked against."
)


def qualifying_of(text: str | None) -> bytes:
    """32 bytes from hexadecimal digits; Failure 2 for anything else."""
    remedy = "Give --qualifying: 64 hexadecimal digits, the qualifying data that docs/format.md §8 defines."
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if len(value) != QUALIFYING_BYTES:
        raise Failure("a bare bundle does not state its qualifying data", remedy=remedy, status=2)
    return value
