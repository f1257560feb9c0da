"""Receipts compared with the trail of the worker that signed them, for `cji receipt verify --trail`."""

from collections.abc import Sequence
from pathlib import Path

from cji_client.errors import SpecError, Unverified
from cji_core.jose import VerifyingKey, key_id
from cji_core.pairs import VerifyingPair
from cji_core.trail import VerifiedFailure, VerifiedReceipt
from cji_core.trail.chain import ChainError
from cji_core.trail.rules import RULES, BrokenRuleError, Watcher
from cji_core.trail.trail import opened


def require_in_trail(verified: Sequence[VerifiedReceipt | VerifiedFailure], trail: Path, key: VerifyingKey) -> None:
    """Return if a trail without an error has exactly these receipts; Unverified names the rule that finds fault."""
    wanted = {one.sha384: one for one in verified if isinstance(one, VerifiedReceipt)}
    if len(wanted) != len(verified):
        raise SpecError("failure receipts and doubled ones are in no trail", remedy="Verify them without --trail.")
    keys = {key_id(key): key.p384 if isinstance(key, VerifyingPair) else key}
    try:
        with opened(trail) as files:
            watcher = Watcher.after(files.pruned, keys=keys)
            for line, record in files.verified():
                watcher.take(line, record)
                if watcher.receipt is not None:
                    one = wanted.pop(watcher.receipt.sha384, None)
                    if one is not None and one.compact != watcher.receipt.compact:
                        raise _unverified("receipt_copy", f"audit line {record.seq} has another signature")
    except BrokenRuleError as error:
        raise _unverified(error.finding.rule, f"audit line {error.line}: {error.finding.what}") from error
    except ChainError as error:
        raise Unverified("trail", str(error)) from error
    for one in wanted.values():
        raise _unverified("receipt_without_event", f"receipt {one.claims.sequence} is in no line of {trail.name}")


def _unverified(rule: str, what: str) -> Unverified:
    return Unverified(rule, f"{RULES[rule].title}: {what}")
