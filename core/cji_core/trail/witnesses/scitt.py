"""A witness that is a SCITT transparency service: a signed statement over the checkpoint, registered over SCRAPI.

The issuer is the operator of the deliverer, with a key of its own; the subject is the trail. A registration that takes
time is looked up under the service's own address: of a `Location` only the last part, the entry's id, is used.

Sources: RFC 9943, RFC 9942; draft-ietf-scitt-scrapi, "Register Signed Statement" and "Query Registration Status".
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.certs import CertificateRefused, WrongKey, load_ec_public_key, load_private_key
from cji_core.cose import CoseError
from cji_core.https import EXCHANGE_SECONDS, Client, ExchangeError, Response, retry_after, tls_context
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.witnesses.cose import Inclusion, sign_statement, verify_receipt, verify_statement
from cji_core.trail.witnesses.records import Offer, Receipt, ScittReceipt, Seen
from cji_core.trail.witnesses.refusals import ReceiptRefusedError, by_status
from cji_core.trail.witnesses.settings import ScittTable

REGISTRATION_SECONDS: Final = 60.0
_PAUSE: Final = 0.25
_MAX_PAUSE: Final = 5.0
_MAX_FILE_BYTES: Final = 64 * 1024
_ENTRY: Final = re.compile(r"(?:.*/)?entries/([A-Za-z0-9._~-]{1,256})/?")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,8192}")
_COSE: Final = "application/cose"
_RUNNING: Final = frozenset({202, 302, 303})


class ScittWitness:
    """The transparency service of a `ScittTable`."""

    def __init__(
        self,
        table: ScittTable,
        *,
        clock: Callable[[], datetime],
        seconds: float = EXCHANGE_SECONDS,
        registration_seconds: float = REGISTRATION_SECONDS,
    ) -> None:
        """`seconds` bounds each exchange, `registration_seconds` the wait for a registration."""
        self._table, self._clock = table, clock
        self._seconds, self._registration_seconds = seconds, registration_seconds
        self._base = table.url.rstrip("/")
        self._pending: tuple[Offer, bytes, str] | None = None

    def newest(self, known: Offer | None) -> Offer | None:
        """`known`: SCRAPI has no query for the newest statement of an issuer."""
        return known

    def submit(self, offer: Offer) -> Seen:
        """Register a statement, and return its verified receipt. Raises DeliveryError.

        A registration that still runs is looked up again by the next call, and not made twice.
        """
        try:
            client = Client(tls_context(ca_file=self._table.ca_file), seconds=self._seconds, keep=True)
        except OSError as error:
            raise DeliveryError("ca_file cannot be read") from error
        with client:
            if self._pending is None or self._pending[0] != offer:
                checkpoint = offer.checkpoint()
                statement = sign_statement(
                    offer.note.encode(),
                    issuer=self._table.issuer,
                    subject=checkpoint.origin,
                    key=read_private_key(Path(self._table.key_file)),
                )
                answer = self._exchange(client, "POST", "entries", statement)
                if answer.status == 201:
                    return self._seen(offer, statement, answer.body)
                if answer.status not in _RUNNING:
                    raise by_status("registration", answer.status, answer.headers.get("retry-after"))
                self._pending = offer, statement, _entry(answer)
            _, statement, entry = self._pending
            receipt = self._wait(client, entry)
        self._pending = None
        return self._seen(offer, statement, receipt)

    def verify(self, offer: Offer, receipt: Receipt) -> None:
        """Return if issuer and service vouch for exactly this checkpoint. Raises ReceiptRefusedError.

        Raises DeliveryError if a pinned key cannot be read.
        """
        self._inclusion(offer, receipt)

    def _inclusion(self, offer: Offer, receipt: Receipt) -> Inclusion:
        if not isinstance(receipt, ScittReceipt):
            raise ReceiptRefusedError("not a receipt of this kind of witness")
        entry = receipt.statement if self._table.entry == "statement" else sha256(receipt.statement).digest()
        try:
            verify_statement(
                receipt.statement,
                payload=offer.note.encode(),
                issuer=self._table.issuer,
                subject=offer.checkpoint().origin,
                key=read_public_key(Path(self._table.issuer_key)),
            )
            return verify_receipt(receipt.receipt, entry=entry, key=read_public_key(Path(self._table.service_key)))
        except CoseError as error:
            raise ReceiptRefusedError(str(error)) from error

    def _seen(self, offer: Offer, statement: bytes, receipt: bytes) -> Seen:
        found = ScittReceipt(statement=statement, receipt=receipt)
        issued = self._inclusion(offer, found).issued
        if issued is None:
            return Seen(receipt=found, at=utc_hundredths(self._clock()), clock="deliverer")
        return Seen(receipt=found, at=utc_hundredths(datetime.fromtimestamp(issued, UTC)), clock="witness")

    def _wait(self, client: Client, entry: str) -> bytes:
        until = time.monotonic() + self._registration_seconds
        while True:
            answer = self._exchange(client, "GET", f"entries/{entry}", None)
            if answer.status == 200:
                return answer.body
            if answer.status not in _RUNNING:
                self._pending = None
                raise by_status("registration", answer.status, answer.headers.get("retry-after"))
            pause = max(retry_after(answer.headers.get("retry-after"), most=_MAX_PAUSE) or 0.0, _PAUSE)
            if time.monotonic() + pause > until:
                raise DeliveryError("registration: the service did not finish in time")
            time.sleep(pause)

    def _exchange(self, client: Client, method: str, path: str, body: bytes | None) -> Response:
        headers = {"Accept": _COSE} | ({"Content-Type": _COSE} if body is not None else {})
        if self._table.token_file is not None:
            headers["Authorization"] = f"Bearer {_token(Path(self._table.token_file))}"
        try:
            return client.exchange(method, f"{self._base}/{path}", headers=headers, body=body)
        except ExchangeError as error:
            raise DeliveryError(
                "registration: the service cannot be reached, or its answer is not acceptable"
            ) from error


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """An issuer's key: PEM without a passphrase, on P-384 or P-256. Raises DeliveryError."""
    try:
        key = load_private_key(_read(path))
    except (OSError, CertificateRefused) as error:
        raise DeliveryError(f"{path.name} has no private key in PEM without a passphrase") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1 | ec.SECP256R1):
        raise DeliveryError(f"{path.name} has a key that is not on P-384 or P-256")
    return key


def read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """A public key in PEM, on P-384 or P-256. Raises DeliveryError."""
    try:
        return load_ec_public_key(_read(path), ec.SECP384R1, ec.SECP256R1)
    except WrongKey as error:
        raise DeliveryError(f"{path.name} has a key that is not on P-384 or P-256") from error
    except (OSError, ValueError) as error:
        raise DeliveryError(f"{path.name} has no public key in PEM") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)


def _token(path: Path) -> str:
    try:
        token = _read(path).decode("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise DeliveryError("token_file cannot be read") from error
    if not _TOKEN.fullmatch(token):
        raise DeliveryError("token_file has no bearer token")
    return token


def _entry(answer: Response) -> str:
    """The id of the entry that the service names in its Location."""
    found = _ENTRY.fullmatch(answer.headers.get("location", ""))
    if found is None or found[1] in {".", ".."}:
        raise DeliveryError("registration: the service names no entry")
    return found[1]
