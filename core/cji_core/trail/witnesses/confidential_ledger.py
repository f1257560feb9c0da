"""A witness in Azure Confidential Ledger: an entry in a collection, and the ledger's receipt for it.

The receipt is verified with Microsoft's library against the ledger's service certificates, which the configuration
pins: a node that this service endorses signed the root of a tree with our transaction, whose claims are this
collection and exactly the bytes of our offer.

Sources: "Azure Confidential Ledger write transaction receipts" and its REST API 2022-05-13.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from azure.confidentialledger import ConfidentialLedgerClient
from azure.confidentialledger.receipt import verify_receipt
from azure.core.exceptions import AzureError, ResourceNotFoundError

from cji_core.azure_client import AudienceCredential, Identity, client_options
from cji_core.https import EXCHANGE_SECONDS
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.witnesses.records import LedgerReceipt, Offer, Receipt, RecordError, Seen, decode_offer
from cji_core.trail.witnesses.refusals import ReceiptRefusedError, by_error
from cji_core.trail.witnesses.settings import LedgerTable

COMMIT_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_MAX_CERTIFICATES: Final = 8
_PEM_END: Final = "-----END CERTIFICATE-----"
_MAX_PROOF: Final = 64


class LedgerWitness:
    """The collection of a `LedgerTable`."""

    def __init__(
        self,
        table: LedgerTable,
        *,
        identity: Identity,
        clock: Callable[[], datetime],
        seconds: float = EXCHANGE_SECONDS,
        commit_seconds: float = COMMIT_SECONDS,
    ) -> None:
        """`seconds` bounds each exchange, `commit_seconds` the wait for a commit and for its receipt."""
        self._table, self._identity, self._clock = table, identity, clock
        self._seconds, self._commit_seconds = seconds, commit_seconds
        self._pending: tuple[Offer, str] | None = None

    def newest(self, _known: Offer | None) -> Offer | None:
        """The current entry of the collection. Raises DeliveryError."""
        with self._client() as client:
            try:
                entry: Any = client.get_current_ledger_entry(collection_id=self._table.collection)
            except ResourceNotFoundError:
                return None
            except AzureError as error:
                raise by_error("current entry", error) from error
            except ValueError as error:
                raise DeliveryError("current entry: not an answer of a ledger") from error
        contents = entry.get("contents") if isinstance(entry, dict) else None
        try:
            return decode_offer(contents.encode() if isinstance(contents, str) else b"")
        except RecordError as error:
            raise DeliveryError(f"the newest entry of the collection is not a checkpoint: {error}") from error

    def submit(self, offer: Offer) -> Seen:
        """Write an entry, wait until it is committed, and return its verified receipt. Raises DeliveryError.

        A transaction that is not yet committed is looked up again by the next call, and not written twice.
        """
        with self._client() as client:
            try:
                if self._pending is None or self._pending[0] != offer:
                    written: Any = client.create_ledger_entry(
                        {"contents": offer.encode().decode()}, collection_id=self._table.collection
                    )
                    self._pending = offer, str(written["transactionId"])
                transaction = self._pending[1]
                self._wait(lambda: client.get_transaction_status(transaction), "Committed", "commit")
                answer = self._wait(lambda: client.get_receipt(transaction), "Ready", "receipt")
            except AzureError as error:
                if isinstance(error, ResourceNotFoundError):
                    self._pending = None  # the ledger does not know this transaction
                raise by_error("entry", error) from error
            except (KeyError, TypeError, ValueError) as error:
                self._pending = None
                raise DeliveryError("entry: not an answer of a ledger") from error
        self._pending = None
        kept = {name: answer.get(name) for name in ("applicationClaims", "receipt")}
        receipt = LedgerReceipt(transaction=transaction, answer=kept)
        self.verify(offer, receipt)
        return Seen(receipt=receipt, at=utc_hundredths(self._clock()), clock="deliverer")

    def verify(self, offer: Offer, receipt: Receipt) -> None:
        """Return if the ledger's service vouches for exactly this offer in this collection. Raises ReceiptRefusedError.

        Raises DeliveryError if the pinned certificate cannot be read.
        """
        if not isinstance(receipt, LedgerReceipt):
            raise ReceiptRefusedError("not a receipt of this kind of witness")
        claims, proof = receipt.answer.get("applicationClaims"), receipt.answer.get("receipt")
        if not isinstance(claims, list) or len(claims) != 1 or not isinstance(claims[0], dict):
            raise ReceiptRefusedError("the receipt does not have one application claim")
        entry = claims[0].get("ledgerEntry")
        if claims[0].get("kind") != "LedgerEntry" or not isinstance(entry, dict):
            raise ReceiptRefusedError("the receipt's claim is not about an entry")
        if entry.get("contents") != offer.encode().decode():
            raise ReceiptRefusedError("the receipt is for other contents")
        if entry.get("collectionId") != self._table.collection:
            raise ReceiptRefusedError("the receipt is for another collection")
        if not isinstance(proof, dict) or not isinstance(steps := proof.get("proof"), list) or len(steps) > _MAX_PROOF:
            raise ReceiptRefusedError("the receipt has no proof")
        if not str(_object(proof.get("leafComponents")).get("commitEvidence")).startswith(f"ce:{receipt.transaction}:"):
            raise ReceiptRefusedError("the receipt is for another transaction")
        if not any(_verifies(proof, each, claims) for each in self._certificates()):
            raise ReceiptRefusedError("the receipt does not verify under a pinned service certificate")

    def _wait(self, look: Callable[[], Any], state: str, what: str) -> dict[str, Any]:
        until = time.monotonic() + self._commit_seconds
        while True:
            answer = look()
            if not isinstance(answer, dict):
                raise ValueError(what)
            if answer.get("state") == state:
                return answer
            if time.monotonic() + _PAUSE > until:
                raise DeliveryError(f"{what}: the ledger did not have it in time")
            time.sleep(_PAUSE)

    def _client(self) -> ConfidentialLedgerClient:
        self._certificates()  # the client would fetch and trust one if the file were missing
        credential = AudienceCredential(self._identity(self._table.client_id), self._table.audience)
        client: Any = ConfidentialLedgerClient  # its base's constructor is the one that mypy finds
        made: ConfidentialLedgerClient = client(
            self._table.url,
            credential,
            ledger_certificate_path=self._table.service_certificate,
            credential_scopes=[f"{self._table.audience}/.default"],
            **client_options(self._table.service_certificate, seconds=self._seconds),
        )
        return made

    def _certificates(self) -> list[str]:
        try:
            text = Path(self._table.service_certificate).read_text("ascii")
        except (OSError, UnicodeError) as error:
            raise DeliveryError("service_certificate cannot be read") from error
        found = [f"{block}{_PEM_END}\n" for block in text.split(_PEM_END)[:-1]]
        if not 1 <= len(found) <= _MAX_CERTIFICATES:
            raise DeliveryError("service_certificate has no certificate in PEM, or more than eight")
        return found


def _verifies(receipt: dict[str, Any], certificate: str, claims: list[dict[str, Any]]) -> bool:
    try:
        verify_receipt(receipt, certificate.strip(), application_claims=claims)
    except (ValueError, AssertionError, AttributeError, KeyError, TypeError):
        return False
    return True


def _object(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}
