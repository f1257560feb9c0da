"""How long results are kept: rules in a TOML file, what is due, and its deletion.

    [keep]
    ledger_days = 1095          # at least 365: CJISSECPOL AU-11 and state rules on dissemination logs
    result_days = 30            # everything else in a result's folder; a dissemination ledger is never deleted with it

    [[holds]]                   # nothing that a hold names is deleted
    folder = "2026-03-*"        # a pattern of the name of a result's folder, or of one that it is in
    reason = "State v. Doe, 26-CR-0117"

The age of a result is that of its receipt (`receipt.jws` in its folder). A folder without a receipt, or with one that
cannot be read, has no known age, so nothing in it is deleted. Deletion writes each file to `deleted.jsonl` before it
removes it; removal is not erasure: copies, snapshots and the disk's spare blocks are the agency's.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_audit.dissemination.ledgers import dissemination_ledgers
from cji_audit.errors import AuditError
from cji_core.documents import toml
from cji_core.trail import ReceiptError, claims_unverified

MIN_LEDGER_DAYS: Final = 365
MAX_BYTES: Final = 256 * 1024
RECEIPT: Final = "receipt.jws"
RECORD: Final = "deleted.jsonl"
_PROOF: Final = frozenset({RECEIPT, "evidence.json", "header.bin"})
"""Kept as long as the dissemination ledger: they prove the job that it is about."""

State = Literal["due", "kept", "on hold", "age unknown"]


class RulesError(AuditError):
    """The rules cannot be used."""

    code = "retention-rules-invalid"
    remedy = "Correct the rules at the place that the message names."


class _Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ledger_days: Annotated[int, Meta(ge=MIN_LEDGER_DAYS, le=36_500)]
    result_days: Annotated[int, Meta(ge=0, le=36_500)]


class _Hold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of an agency."""

    keep: _Keep
    holds: tuple[_Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One file of a result: whether it is due for deletion, and why."""

    path: Path
    state: State
    why: str


def load_rules(path: Path) -> Rules:
    """The rules in a TOML file. Raises RulesError."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise RulesError(f"{path} is larger than 256 KiB")
        return toml(data, Rules)
    except (OSError, ValueError, RecursionError) as error:
        raise RulesError(f"{path} is not usable: {error}") from error


def review(folders: Iterable[Path], rules: Rules, *, now: datetime) -> Iterator[Due]:
    """Every file of every result among and below `folders`, in the order of names."""
    results = {path.parent for place in folders for path in place.rglob(RECEIPT)}
    results |= {path.parent for path in dissemination_ledgers(folders)}
    for folder in sorted(results):
        hold = next((one for one in rules.holds if _holds(one, folder)), None)
        ended = _ended(folder)
        ledgers = set(dissemination_ledgers([folder]))
        for path in sorted(each for each in folder.iterdir() if each.is_file() and each.name != RECORD):
            yield _judged(path, rules, hold, ended, now, keep_long=path in ledgers or path.name in _PROOF)


def delete(due: Iterable[Due], *, now: datetime) -> int:
    """Delete the files that are due, each recorded in its folder first; return how many. Raises OSError."""
    count = 0
    for one in due:
        if one.state != "due":
            continue
        record = {"time": now.isoformat(timespec="seconds"), "deleted": one.path.name, "why": one.why}
        with (one.path.parent / RECORD).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        one.path.unlink()
        count += 1
    return count


def _holds(hold: _Hold, folder: Path) -> bool:
    """Whether a hold names this folder, or one that it is in."""
    return any(fnmatchcase(part, hold.folder) for part in folder.absolute().parts)


def _judged(
    path: Path, rules: Rules, hold: _Hold | None, ended: datetime | None, now: datetime, *, keep_long: bool
) -> Due:
    if hold is not None:
        return Due(path=path, state="on hold", why=hold.reason)
    if ended is None:
        return Due(path=path, state="age unknown", why=f"no {RECEIPT} in its folder that can be read")
    days = max(rules.keep.ledger_days, rules.keep.result_days) if keep_long else rules.keep.result_days
    until = ended + timedelta(days=days)
    why = f"{'ledger or proof' if keep_long else 'result'} of {ended:%Y-%m-%d}, kept {days} days"
    return Due(path=path, state="due" if now >= until else "kept", why=why)


def _ended(folder: Path) -> datetime | None:
    """When the job of a result ended, by its receipt; the receipt is not verified."""
    try:
        text = (folder / RECEIPT).read_text(encoding="ascii").strip()
        return datetime.fromisoformat(claims_unverified(text).ended)
    except (OSError, ReceiptError, ValueError):
        return None
