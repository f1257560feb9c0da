"""The difference between machines of one bundle: one placeholder in worker.toml, and the rule that fills it in.

    worker.toml     id = "cji-{vm_id}"
    machine.json    {"vm_id":"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}       beside it, written on the machine

`cji bundle apply` takes the id from the report that the paravisor gives the vTPM, which evidence has too:
a keyholder ends a worker whose evidence is of another machine (`custody`). At a desk there is no machine.json, and the
placeholder stays as it is; a worker does not start with it.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.documents import decode

MACHINE: Final = "machine.json"
VM_ID: Final = "{vm_id}"
_MAX_BYTES: Final = 256


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine: `vmUniqueId` of its evidence, in small letters."""

    vm_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]


def machine_in(folder: Path) -> Machine | None:
    """The machine that the file in this folder names; None if there is no such file. Raises OSError, ValueError."""
    try:
        with (folder / MACHINE).open("rb") as file:
            return decode(file.read(_MAX_BYTES + 1), Machine, limit=_MAX_BYTES)
    except FileNotFoundError:
        return None


def named(text: str, machine: Machine | None) -> str:
    """The text with the id of the machine in place of each placeholder. Raises ValueError for other braces."""
    if set("{}") & set(text.replace(VM_ID, "")):
        raise ValueError(f"{text!a} has braces; the one placeholder is {VM_ID}")
    return text if machine is None else text.replace(VM_ID, machine.vm_id)
