"""A receipt in a line without what earlier lines say: it is the same receipt, and every rule sees what was signed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from cji_core.trail import Head, JobAdmitted, JobCompleted, Volumes, claims_unverified, read
from cji_core.trail.compact import ReceiptError
from cji_core.trail.rules import Watcher
from cji_core.trail.short_receipts import OF_ADMISSION, OF_EVENT, OwnClaims, ShortReceipt, Stated, shorten, whole
from cji_worker.trail.file import AuditFile
from tests.support.any_event import members
from tests.support.review_trails import VOLUMES, Trail, job_admitted, job_completed, receipt

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
ADMITTED = job_admitted("1" * 32)
BASE = Stated.of(receipt(job_admitted("0" * 32), VOLUMES, "2026-01-01T00:00:00.00Z", {}))
MOST_BYTES = 2950
"""Of the lines of a job with one input and one output: half of what they had with a whole receipt."""


def lines_of(text: str, admitted: JobAdmitted = ADMITTED, base: Stated | None = BASE) -> JobCompleted:
    """The event of a completed job with this receipt, as a worker writes it."""
    event = job_completed(admitted, VOLUMES, text)
    return msgspec.structs.replace(event, receipt=shorten(text, event, admitted, base))


def slow(event: JobCompleted, admitted: JobAdmitted, base: Stated) -> dict[str, Any]:
    """The claims of a short receipt, as docs/audit.md describes them."""
    assert isinstance(event.receipt, ShortReceipt)
    found: dict[str, Any] = msgspec.to_builtins(base.claims)
    for name in ("column_keys", "tasks", "privacy"):
        found.pop(name, None)
    for names, source in ((OF_ADMISSION, admitted), (OF_EVENT, event)):
        found |= {name: msgspec.to_builtins(getattr(source, name)) for name in names}
    found |= msgspec.to_builtins(event.receipt.claims)
    return found


@given(changes=members(OwnClaims))
def test_a_short_receipt_is_the_receipt(changes: dict[str, Any]) -> None:
    own = msgspec.convert(changes, OwnClaims)
    text = receipt(ADMITTED, VOLUMES, "2026-01-02T00:00:00.00Z", {name: getattr(own, name) for name in changes})
    event = lines_of(text)
    found = whole(event, ADMITTED, BASE)
    assert (found, found.compact) == (Stated.of(text), text)
    if isinstance(event.receipt, ShortReceipt):
        assert slow(event, ADMITTED, BASE) == msgspec.to_builtins(claims_unverified(text))
    else:
        assert "evidence_sha384" in changes


def test_the_lines_of_a_job_are_half_of_what_they_were() -> None:
    text = receipt(ADMITTED, VOLUMES, "2026-01-02T00:00:00.00Z", {"sequence": 2})
    text = text.rpartition(".")[0] + "." + "A" * 128
    trail = Trail()
    trail.add(ADMITTED)
    trail.add(lines_of(text))
    short = sum(map(len, trail.lines))
    whole_lines = Trail()
    whole_lines.add(ADMITTED)
    whole_lines.add(job_completed(ADMITTED, VOLUMES, text))
    anchor = 257
    assert short + 2 * anchor < MOST_BYTES < sum(map(len, whole_lines.lines))


@pytest.mark.parametrize(
    ("base", "admitted", "field"),
    [
        (None, ADMITTED, "like"),
        (Stated.of(receipt(ADMITTED, VOLUMES, "2026-01-01T00:00:00.00Z", {"sequence": 7})), ADMITTED, "like"),
        (BASE, None, "admission"),
    ],
)
def test_without_the_lines_that_it_needs_there_is_none(
    base: Stated | None, admitted: JobAdmitted | None, field: str
) -> None:
    event = lines_of(receipt(ADMITTED, VOLUMES, "2026-01-02T00:00:00.00Z", {"sequence": 2}))
    with pytest.raises(ReceiptError) as caught:
        whole(event, admitted, base)
    assert caught.value.field == field


def findings(trail: Trail) -> list[str]:
    """The rules that find something in its last line."""
    watcher, found = Watcher(), []
    for line in trail.lines:
        found = [each.rule for each in watcher.see(line, read(line))]
    return found


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        ({}, None),
        ({"kek_id": "https://v.vault.azure.net/keys/other/" + "ab" * 16}, "receipt_admission"),
        ({"submitter": "county-so"}, "receipt_contradicts"),
        ({"volumes": Volumes(rows_in=1, rows_out=1, bytes_in=1, bytes_out=1, chri_rows_out=0, subjects_out=1)},
         "receipt_contradicts"),
        ({"code_sha384": "ff" * 48}, "receipt_configuration"),
        ({"previous_sha384": "ff" * 48}, "receipt_sequence"),
        ({"audit_anchor": 9}, "receipt_anchor"),
    ],
)  # fmt: skip
def test_a_claim_that_differs_is_found_in_a_short_one(claims: dict[str, Any], rule: str | None) -> None:
    trail = Trail()
    trail.start()
    trail.job()
    admitted = job_admitted("2" * 32)
    trail.add(admitted)
    trail.complete(admitted, claims=claims)
    assert isinstance(read(trail.lines[-1]).event.receipt, ShortReceipt)  # type: ignore[attr-defined]
    assert (rule is None and not findings(trail)) or rule in findings(trail)


def test_a_line_that_claims_another_base_is_found() -> None:
    trail = Trail()
    trail.start()
    trail.job()
    trail.job()
    event = read(trail.lines[-1]).event
    assert isinstance(event, JobCompleted)
    assert isinstance(event.receipt, ShortReceipt)
    before = read(trail.lines[-2])
    trail.head = Head(seq=before.seq, hash=before.hash)
    del trail.lines[-1]
    trail.add(msgspec.structs.replace(event, receipt=msgspec.structs.replace(event.receipt, like=2)))
    assert "receipt_contradicts" in findings(trail)


def test_a_worker_finds_whole_receipts_again(tmp_path: Path) -> None:
    """Also after a start with a new ledger."""
    texts = []
    path = tmp_path / "audit.log"
    with AuditFile(path, worker="worker-1", clock=lambda: NOW) as audit:
        for number in range(1, 4):
            admitted = job_admitted(f"{number:032x}")
            audit.append(admitted)
            text = receipt(admitted, VOLUMES, "2026-01-02T00:00:00.00Z", {"sequence": number})
            audit.append(lines_of(text, admitted, audit.base(number.to_bytes(16, "big"))))
            texts.append(text)
    assert b'"like":1' in path.read_bytes()
    for rebuild in (False, True):
        with AuditFile(path, worker="worker-1", clock=lambda: NOW, rebuild=rebuild) as audit:
            found = [audit.completion(number.to_bytes(16, "big")) for number in range(1, 4)]
            assert [each and each.receipt for each in found] == texts
            last = audit.last_completion()
            assert last is not None
            assert last.receipt == texts[-1]
            assert [each.receipt for each in audit.last_completions(2)] == [texts[2], texts[1]]
