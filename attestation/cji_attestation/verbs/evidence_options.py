"""The cloud, a time, and the data that a quote carries, as options of several verbs."""

import re
from datetime import datetime
from pathlib import Path
from typing import Final, get_args

import click

from cji_attestation.trust import MachineKind
from cji_core.command.common import Failure
from cji_core.moments import moment
from cji_core.strict import hex_decode

QUALIFYING_BYTES: Final = 32
CLOUD: Final = click.option(
    "--cloud", default="azure-us", show_default=True, help="The cloud whose roots a bare bundle is checked against."
)
AT: Final = click.option("--at", metavar="TIME", help="Appraise at this time, which you vouch for; RFC 3339.")
UNKNOWN_PARAVISOR: Final = click.option(
    "--unknown-paravisor",
    is_flag=True,
    help="Accept a bare bundle of TDX that nothing shows to be Azure's: no known MRTD, no AK certificate.",
)
MACHINE: Final = click.option(
    "--machine",
    type=click.Choice(get_args(MachineKind)),
    default="worker",
    show_default=True,
    help="What the machine of a bare bundle is wanted for; an image of another kind is refused.",
)
NEW_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_HEX: Final = re.compile(r"[0-9a-f]+")
_MOST_QUALIFYING: Final = 64  # a quote of another collector may carry fewer than 32, or more


def written(path: Path, data: bytes) -> None:
    """Write a new file; Failure 2 where there is one, or no folder."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        remedy = "Name a new file in a folder that exists."
        raise Failure(f"{path} cannot be written", remedy=remedy, status=2) from error


def time_of(text: str | None) -> datetime | None:
    """The value of --at; Failure 2 for other text than a time with a zone."""
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError:
        raise Failure(f"--at {text} is not a time", remedy="Write it like 2026-03-17T00:00:00Z.", status=2) from None


def qualifying_of(text: str | None, *, imported: bool = False) -> bytes:
    """32 bytes from hexadecimal digits, or 1 to 64 for imported evidence; Failure 2 for anything else."""
    digits = f"{f'2 to {2 * _MOST_QUALIFYING}' if imported else 2 * QUALIFYING_BYTES} hexadecimal digits"
    remedy = f"Give --qualifying: {digits} in lower case, the qualifying data that docs/format.md §8 defines."
    if text is None:
        raise Failure("a bare bundle does not state its qualifying data", remedy=remedy, status=2)
    if not _HEX.fullmatch(text):
        found = f"{len(text)} characters, not all of them hexadecimal digits in lower case"
    elif len(text) == 2 * QUALIFYING_BYTES or (imported and len(text) in range(2, 2 * _MOST_QUALIFYING + 1, 2)):
        return hex_decode(text)
    else:
        found = f"{len(text)} hexadecimal digits"
    raise Failure(f"--qualifying has {found}; it takes {digits}", remedy=remedy, status=2)
