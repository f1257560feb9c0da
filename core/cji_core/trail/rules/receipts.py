"""The rules of receipts: each is of its event, its admission and its machine, and continues the one before it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Literal

from cji_core.operations.volumes import WITHHELD
from cji_core.trail.chain import Record
from cji_core.trail.claims import Claims
from cji_core.trail.compact import ReceiptError
from cji_core.trail.events import JobCompleted
from cji_core.trail.receipts import FIRST_PREVIOUS, VerifiedReceipt
from cji_core.trail.rules.state import Admission, digest_of
from cji_core.trail.rules.watcher import ANOTHER_KEY, Watcher
from cji_core.trail.short_receipts import OF_EVENT

_OF_ADMISSION: Final = (
    "header_sha384",
    "submitter",
    "originating_ori",
    "requesting_ori",
    "suite",
    "purpose_code",
    "operations",
    "recipients",
    "kek_id",
)
_CONFIGURATION: Final = ("code_sha384", "config_sha384", "policy_sha384")
_event_of, _admission_of, _configuration_of = (
    attrgetter(*names) for names in (OF_EVENT, _OF_ADMISSION, _CONFIGURATION)
)


class SequenceError(ReceiptError):
    """A broken sequence of one worker's receipts: numbers `first` to `last` are missing, repeated or misplaced."""

    def __init__(
        self, kind: Literal["missing", "repeated", "reordered", "previous", "anchor"], first: int, last: int
    ) -> None:
        super().__init__({"previous": "previous_sha384", "anchor": "audit_anchor"}.get(kind, "sequence"))
        self.kind = kind
        self.first = first
        self.last = last

    @property
    def rule(self) -> str:
        """The id of the rule that found it."""
        return "receipt_anchor" if self.kind == "anchor" else "receipt_sequence"

    def __str__(self) -> str:
        numbers = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        if self.kind == "previous":
            return f"receipt {numbers}: previous_sha384 names another receipt than the one before it"
        if self.kind == "anchor":
            return f"receipt {numbers}: audit_anchor is below that of the one before it"
        return f"receipt {numbers}: {self.kind}"


def broken_by(claims: Claims, *, sequence: int, previous_sha384: str, anchor: int) -> str:
    """The reason why a receipt does not follow the one with these: `sequence`, `previous` or `anchor`; or empty."""
    if claims.sequence != sequence + 1:
        return "sequence"
    if claims.previous_sha384 != previous_sha384:
        return "previous"
    return "anchor" if claims.audit_anchor < anchor else ""


def verify_sequence(receipts: Sequence[VerifiedReceipt], *, after: VerifiedReceipt | None = None) -> None:
    """Return if the receipts of one worker follow each other without a gap, from number 1 or directly after `after`.

    Raises a SequenceError that names the missing, repeated or reordered numbers, or the receipt whose predecessor was
    replaced or whose audit anchor is lower; ReceiptError("worker") if they come from different workers.
    """
    if len({each.claims.worker for each in (*receipts, *([after] if after else []))}) > 1:
        raise ReceiptError("worker")
    number, digest = (after.claims.sequence, after.sha384) if after else (0, FIRST_PREVIOUS)
    anchor = after.claims.audit_anchor if after else 0
    numbers = [each.claims.sequence for each in receipts]
    seen: set[int] = {after.claims.sequence} if after else set()
    for each in receipts:
        found = each.claims.sequence
        broken = broken_by(each.claims, sequence=number, previous_sha384=digest, anchor=anchor)
        if broken == "sequence":
            _raise_gap(found, number + 1, numbers, seen)
        elif broken == "previous":
            raise SequenceError("previous", found, found)
        elif broken == "anchor":
            raise SequenceError("anchor", found, found)
        seen.add(found)
        number, digest, anchor = found, each.sha384, each.claims.audit_anchor


def _raise_gap(found: int, wanted: int, numbers: list[int], seen: set[int]) -> None:
    if found in seen:
        raise SequenceError("repeated", found, found)
    if found < wanted or wanted in numbers:
        raise SequenceError("reordered", found, found)
    raise SequenceError("missing", wanted, min(each for each in numbers if each > wanted) - 1)


def examine(watcher: Watcher, record: Record, event: JobCompleted, admission: Admission | None) -> None:
    """All rules about the receipt in a line."""
    state = watcher.state
    try:
        stated = watcher.read_receipt(event, admission)
    except ReceiptError as error:
        if error.field != "admission":  # without that line, the end of the job is out of order
            detail = f"it is not a receipt: {error}"
            watcher.note("receipt_contradicts", f"the receipt cannot be read: {error}", detail=detail)
        state.sequence = None
        return
    claims, key = stated.claims, stated.key_id
    _compare(watcher, record, event, claims, admission)
    _follow(watcher, claims)
    watcher.require_key(key, f"receipt {claims.sequence} is not of the key that was attested: {ANOTHER_KEY}")
    if state.evidence is not None and claims.evidence_sha384 not in state.evidence:
        watcher.note(
            "receipt_evidence", "the receipt names evidence that was not attested", found=claims.evidence_sha384
        )
    if claims.simulated:
        watcher.note("simulated", "the receipt is simulated", detail="", subject=f"{record.worker}: receipts")
    state.sequence, state.previous_sha384 = claims.sequence, stated.sha384
    state.receipt_anchor = claims.audit_anchor


def _compare(
    watcher: Watcher, record: Record, event: JobCompleted, claims: Claims, admission: Admission | None
) -> None:
    """With its event, its admission, and the start of its worker."""
    number, started = claims.sequence, watcher.state.started
    here = {"worker": record.worker, "trail": watcher.state.trail or claims.trail}
    if _event_of(claims) != _event_of(event) or (claims.worker, claims.trail) != tuple(here.values()):
        wanted = {name: getattr(event, name) for name in OF_EVENT} | here
        names = [name for name, value in wanted.items() if getattr(claims, name) != value]
        watcher.note(
            "receipt_contradicts",
            f"receipt {number} is of another event: {', '.join(names)}",
            detail=f"differs in {', '.join(names)}",
            found=_values(claims, names),
            expected=", ".join(str(wanted[name]) for name in names),
        )
    counts = [name for name in WITHHELD if claims.withheld and getattr(claims.volumes, name)]
    if counts:
        what = f"receipt {number} states {', '.join(counts)} of a job with sealed columns"
        watcher.note("receipt_contradicts", what, found=_values(claims.volumes, counts), expected="0")
    policy = None
    if admission is not None and admission.line:
        policy = admission.policy_sha384
        if _admission_of(claims) != _admission_of(admission):
            names = [name for name in _OF_ADMISSION if getattr(claims, name) != getattr(admission, name)]
            what = f"receipt {number} contradicts the trail: another {', '.join(names)} than in line {admission.line}"
            watcher.note("receipt_admission", what, found=_values(claims, names), expected=_values(admission, names))
        if (used := digest_of(claims.column_keys)) != admission.column_keys:
            what = f"receipt {number} contradicts the trail: other column_keys than in line {admission.line}"
            watcher.note("receipt_admission", what, found=used, expected=admission.column_keys)
    configured = (started.get("code_sha384"), started.get("config_sha384"), policy)
    if configured != (stated := _configuration_of(claims)):
        pairs = zip(_CONFIGURATION, configured, stated, strict=True)
        different = [(name, value, found) for name, value, found in pairs if value is not None and value != found]
        if different:
            others, values, found = (", ".join(each) for each in zip(*different, strict=True))
            what = f"the receipt names another {others} than the trail"
            watcher.note("receipt_configuration", what, found=found, expected=values)


def _follow(watcher: Watcher, claims: Claims) -> None:
    """The one before it, and the anchors of the trail."""
    state, number = watcher.state, claims.sequence
    before = state.sequence
    if before is not None:
        broken = broken_by(claims, sequence=before, previous_sha384=state.previous_sha384, anchor=state.receipt_anchor)
        if broken == "sequence":
            what = (
                f"receipt {number} again: it follows receipt {before}"
                if number <= before
                else f"receipt {number} follows receipt {before}: expected receipt {before + 1}, found {number}: "
                "receipts are missing, or not in their order"
            )
            detail = f"number {number} follows {before}"
            watcher.note("receipt_sequence", what, detail=detail, found=number, expected=before + 1)
        elif broken == "previous":
            what = f"receipt {number} names another one before it"
            watcher.note(
                "receipt_sequence", what, detail=what.replace("receipt", "number"), found=claims.previous_sha384,
                expected=state.previous_sha384,
            )  # fmt: skip
        elif broken == "anchor":
            what = f"receipt {number}: audit_anchor {claims.audit_anchor} is below that of the one before it"
            watcher.note("receipt_anchor", what, found=claims.audit_anchor, expected=f"at least {state.receipt_anchor}")
    if state.anchor is not None and claims.audit_anchor > state.anchor:
        what = f"receipt {number}: anchor {claims.audit_anchor} was not reached"
        watcher.note("receipt_anchor", what, found=claims.audit_anchor, expected=f"at most {state.anchor}")


def _values(of: object, names: Sequence[str]) -> str:
    return ", ".join(str(getattr(of, name, "")) for name in names)
