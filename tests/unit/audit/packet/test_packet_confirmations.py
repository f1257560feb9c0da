"""Receipts in a packet: counts stated by the cell, confirmed by a recipient's key, or counted otherwise."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_audit.packet.attachments import Attachments
from cji_audit.packet.checks.receipts import held
from cji_audit.packet.errors import PacketError
from cji_audit.packet.material import HeldReceipt
from cji_core.format.keys import new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_core.suites import Suite
from cji_core.trail import receipt_sha384
from cji_core.trail.confirmations import ConfirmationClaims, CountedOutput, sign_confirmation
from tests.support.packet_period import attachments, content, lines_of, sound, tools

CONFIRM, OTHER = new_signing_key(), new_signing_key()
ME = key_id(CONFIRM.public_key())
LINES, RECEIPTS = lines_of(sound())
GIVEN = attachments(sound(), LINES, RECEIPTS)
NAME, RECEIPT = next(iter(GIVEN.of("receipts").items()))


def confirmation(*, key: Any = CONFIRM, **changes: Any) -> bytes:
    claims = ConfirmationClaims(
        version=1,
        receipt_sha384=receipt_sha384(RECEIPT.decode()),
        suite=Suite.CLASSICAL_1,
        recipient="A" * 43,
        outputs=(CountedOutput(name="result", schema="person/1", rows=changes.pop("rows", 10)),),
        confirmed="2026-12-01T09:00:00.00Z",
    )
    return sign_confirmation(msgspec.structs.replace(claims, **changes), key).encode()


def receipts(*confirmations: bytes) -> dict[str, HeldReceipt]:
    """The receipts that were kept, by the name of their file."""
    own = {f"{number}.jws": data for number, data in enumerate(confirmations)}
    keys = {"confirm.jwk": public_jwk(CONFIRM.public_key()).encode()}
    files = Attachments(files={**GIVEN.files, "confirmations": own, "confirmation_keys": keys})
    return {each.file.name: each for each in files.facts(tools())["receipts"]}


def test_counts_are_stated_by_the_cell_until_confirmed() -> None:
    found = receipts(confirmation())
    assert (found[NAME].counts, found[NAME].counted) == (f"confirmed by {ME} on 2026-12-01", "")
    others = [each for name, each in found.items() if name != NAME]
    assert {(each.counts, each.counted) for each in others} == {("stated by the cell", "")}


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"rows": 9}, f"counted otherwise by {ME} on 2026-12-01: rows_out is 10, counted 9"),
        ({"key": OTHER}, "confirmation refused: key"),
        ({"recipient": "B" * 43}, "confirmation refused: recipient"),
        ({"confirmed": "2026-01-01T00:00:00.00Z"}, "confirmation refused: date"),
    ],
)
def test_a_difference_and_a_fault_are_named(changes: dict[str, Any], counted: str) -> None:
    one = receipts(confirmation(**changes))[NAME]
    assert one.counted.startswith(counted)
    assert one.counts == "stated by the cell"
    assert receipts(confirmation(), confirmation())[NAME].counted == "doubled"


@pytest.mark.parametrize("data", [b"x", b"", confirmation(receipt_sha384="ab" * 48)])
def test_what_is_no_confirmation_of_a_given_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        receipts(data)


def test_the_check_of_receipts_fails_for_a_difference(tmp_path: Path) -> None:
    """Red before: a packet showed counts as if the worker had counted them."""
    material = content(sound(), tmp_path).material
    honest = held(material)
    assert honest.status == "holds"
    assert "counts of 0 are confirmed by a recipient, the others are stated by the cells" in honest.why
    assert "counts stated by the cell" in honest.evidence[0].what
    lines = {each.file.name: each.line for each in material.receipts or ()}

    def with_lines(*confirmations: bytes) -> Any:
        found = receipts(*confirmations)
        placed = tuple(msgspec.structs.replace(each, line=lines[name]) for name, each in found.items())
        return held(msgspec.structs.replace(material, receipts=placed))

    confirmed = with_lines(confirmation())
    assert (confirmed.status, "counts of 1 are confirmed" in confirmed.why) == ("holds", True)
    differs = with_lines(confirmation(rows=9))
    assert (differs.status, "rows_out is 10, counted 9" in differs.why) == ("fails", True)
