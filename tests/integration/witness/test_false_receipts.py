"""Receipts that a service, or whoever can write the state, falsifies: each is refused by name."""

import base64
import copy
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from scitt_cose import parse_signed_statement, verify_receipt

from cji_core.trail.delivery import DeliveryError
from cji_core.trail.witnesses.records import LedgerReceipt, Records, ScittReceipt, Witnessed
from cji_core.trail.witnesses.refusals import ReceiptRefusedError
from tests.support.witness_kinds import ISSUER, Setting
from tests.support.witness_services import Authority

Answer = dict[str, Any]


def _entry(answer: Answer) -> Answer:
    found: Answer = answer["applicationClaims"][0]["ledgerEntry"]
    return found


def _another_signature(answer: Answer) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    answer["receipt"]["signature"] = base64.b64encode(key.sign(b"x" * 32, ec.ECDSA(hashes.SHA256()))).decode()


def _another_service(answer: Answer) -> None:
    stranger, node = Authority(name="stranger"), ec.generate_private_key(ec.SECP384R1())
    answer["receipt"]["cert"] = stranger.issue("node", node.public_key())
    answer["receipt"].pop("nodeId")


LEDGER: dict[str, tuple[Callable[[Answer], Any], str]] = {
    "other contents": (lambda a: _entry(a).update(contents=_entry(a)["contents"] + " "), "other contents"),
    "other collection": (lambda a: _entry(a).update(collectionId="another"), "another collection"),
    "other secret": (lambda a: _entry(a).update(secretKey=base64.b64encode(bytes(32)).decode()), "does not verify"),
    "secret that is no base64": (lambda a: _entry(a).update(secretKey="!"), "does not verify"),
    "other protocol": (lambda a: _entry(a).update(protocol="LedgerEntryV2"), "does not verify"),
    "no claims": (lambda a: a.update(applicationClaims=[]), "one application claim"),
    "claims left out": (lambda a: a.pop("applicationClaims"), "one application claim"),
    "two claims": (lambda a: a["applicationClaims"].append(a["applicationClaims"][0]), "one application claim"),
    "a digest for a claim": (
        lambda a: a.update(applicationClaims=[{"kind": "ClaimDigest", "digest": {"value": "00", "protocol": "x"}}]),
        "not about an entry",
    ),
    "no receipt": (lambda a: a.update(receipt=None), "no proof"),
    "other claims digest": (lambda a: a["receipt"]["leafComponents"].update(claimsDigest="00" * 32), "does not verify"),
    "other write set": (lambda a: a["receipt"]["leafComponents"].update(writeSetDigest="00" * 32), "does not verify"),
    "other transaction": (
        lambda a: a["receipt"]["leafComponents"].update(commitEvidence="ce:2.99:" + "00" * 32), "another transaction",
    ),
    "other evidence": (
        lambda a: a["receipt"]["leafComponents"].update(commitEvidence="ce:2.1:" + "00" * 32), "does not verify",
    ),
    "other path": (lambda a: a["receipt"]["proof"].pop(), "does not verify"),
    "other side": (
        lambda a: a["receipt"]["proof"].__setitem__(0, {"right": a["receipt"]["proof"][0]["left"]}), "does not verify",
    ),
    "both sides": (lambda a: a["receipt"]["proof"][0].update(right="00" * 32), "does not verify"),
    "no path": (lambda a: a["receipt"].update(proof="x"), "no proof"),
    "a path of a thousand": (lambda a: a["receipt"].update(proof=[{"left": "00" * 32}] * 1000), "no proof"),
    "swapped signature": (_another_signature, "does not verify"),
    "no signature": (lambda a: a["receipt"].update(signature=""), "does not verify"),
    "another service": (_another_service, "does not verify"),
    "another node": (lambda a: a["receipt"].update(nodeId="00" * 32), "does not verify"),
    "an endorsement that is none": (lambda a: a["receipt"].update(serviceEndorsements=["x"]), "does not verify"),
    "unknown member": (lambda a: a["receipt"]["proof"][0].update(up="00"), "does not verify"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEDGER)
def test_a_false_receipt_of_a_ledger(setting: Setting, name: str) -> None:
    change, text = LEDGER[name]

    def falsify(answer: Answer) -> Answer:
        change(answer)
        return answer

    setting.trail.write(5).checkpoint()
    setting.services.ledger.falsify = falsify
    destination = setting.destination("confidential_ledger")
    with pytest.raises(ReceiptRefusedError, match=text):
        destination.advance()
    assert not (setting.state / "witnesses").exists()
    setting.services.ledger.falsify = lambda answer: answer
    assert destination.advance().seq == 5


def test_a_ledgers_receipt_for_an_earlier_checkpoint(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    ledger = setting.services.ledger
    destination = setting.destination("confidential_ledger")
    destination.advance()
    setting.trail.write(5).checkpoint()
    setting.clock[0] += 60
    earlier = copy.deepcopy(ledger.receipt(0))
    ledger.falsify = lambda answer: earlier
    with pytest.raises(ReceiptRefusedError, match="other contents"):
        destination.advance()


def _scitt(setting: Setting) -> tuple[Witnessed, ScittReceipt]:
    setting.trail.write(5).checkpoint()
    setting.destination("scitt").advance()
    [(_, record)] = Records(setting.state / "witnesses" / "scitt")
    assert isinstance(record, Witnessed)
    assert isinstance(record.receipt, ScittReceipt)
    return record, record.receipt


def test_scitt_cose_accepts_statement_and_receipt(setting: Setting) -> None:
    record, receipt = _scitt(setting)
    issuer = (setting.folder / "issuer.pub").read_bytes()
    found = parse_signed_statement(receipt.statement, public_key_pem=issuer)
    assert found["signature_verified"] is True
    assert (found["issuer"], found["subject"]) == (ISSUER, "cji-worker/worker-1")
    assert found["content_type"] == "text/plain; charset=utf-8"
    assert found["payload"] == record.offer.note.encode()
    judged = verify_receipt(
        receipt.receipt,
        leaf_entry_hex=receipt.statement.hex(),
        log_public_key_pem=setting.services.transparency.public_pem,
    )
    assert judged.ok
    assert (record.at, record.clock) == ("2026-11-24T16:00:00.00Z", "witness")


def test_every_changed_byte_of_statement_and_receipt_is_refused(setting: Setting) -> None:
    record, receipt = _scitt(setting)
    witness = setting.witness("scitt")
    for part in ("statement", "receipt"):
        data: bytes = getattr(receipt, part)
        for i in range(len(data)):
            changed = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
            parts = {"statement": receipt.statement, "receipt": receipt.receipt, part: changed}
            with pytest.raises(ReceiptRefusedError):
                witness.verify(record.offer, ScittReceipt(**parts))


@pytest.mark.parametrize(
    ("setting_of", "text"),
    [
        ({"issuer": "https://other.example"}, "another content type, issuer or subject"),
        ({"issuer_key": "service.pub"}, "not signed by the issuer's key"),
        ({"service_key": "issuer.pub"}, "not signed by the service's key"),
        ({"entry": "statement_sha256"}, "not for this statement"),
    ],
)
def test_what_is_pinned_decides(setting: Setting, setting_of: dict[str, str], text: str) -> None:
    from cji_core.trail.witnesses.configured import witness_for
    from cji_core.trail.witnesses.settings import tables

    record, receipt = _scitt(setting)
    [table] = tables([setting.raw("scitt") | setting_of], folder=setting.folder)
    with pytest.raises(ReceiptRefusedError, match=text):
        witness_for(table).verify(record.offer, receipt)


def test_a_receipt_for_another_statement(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    service = setting.services.transparency
    destination = setting.destination("scitt")
    destination.advance()
    setting.trail.write(5).checkpoint()
    setting.clock[0] += 60
    earlier = service.receipt(0)
    service.falsify = lambda receipt: earlier
    with pytest.raises(ReceiptRefusedError, match="not for this statement"):
        destination.advance()


def test_a_receipt_of_the_wrong_kind(setting: Setting) -> None:
    record, receipt = _scitt(setting)
    with pytest.raises(DeliveryError, match="kind"):
        setting.witness("confidential_ledger").verify(record.offer, receipt)
    with pytest.raises(DeliveryError, match="kind"):
        setting.witness("scitt").verify(record.offer, LedgerReceipt(transaction="2.1", answer={}))
