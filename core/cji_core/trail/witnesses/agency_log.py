"""The agency's log as a witness: an entry for each checkpoint, kept with its proof under a quorum's cosignatures.

The first checkpoint of a trail, and of each start of its worker, travels with the evidence of that start (from
`receipt_keys`) and the trail's first line. Afterwards an entry has no more than the checkpoint and its proof.
"""

import base64
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from cji_core.errors import StartupError
from cji_core.https import MAX_RETRY_AFTER, Client, ExchangeError, retry_after, tls_context
from cji_core.tlog.leaves import FirstLine, LeafError
from cji_core.tlog.policy import Cosigned, Policy, load_policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.slots import identity_of
from cji_core.tlog.submissions import Added, Newest, Refused, Submission, read_message, read_token
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.trail import opened
from cji_core.trail.witnesses.keys import read_evidence_for
from cji_core.trail.witnesses.records import LogReceipt, Offer
from cji_core.trail.witnesses.settings import LogTable

SECONDS: Final = 60.0
_WANTS_EVIDENCE: Final = 428
_STATUS: Final = {
    403: "does not accept the token",
    404: "is not at this address",
    413: "finds the submission too large",
    503: "has no quorum of witnesses yet, and keeps the entry",
}
_TEXT: Final = {
    "frozen": "this trail waits for a person's decision (cji log decide)",
    "fork": "the log has another history of this trail, and froze it",
    "rollback": "the log has a later state of this trail, and froze it",
    "other_machine": "another machine wrote this trail before; the log froze it",
    "superseded": "a later start of this machine has delivered already",
    "evidence": "the log does not accept the evidence in receipt_keys",
    "identity": "the log does not accept the first line of this trail",
    "signature": "the log does not accept the checkpoint's signature",
    "unknown_trail": "the log needs this trail's first line, which was pruned",
    "unknown_key": "the log needs the evidence of this start: put its evidence.json into receipt_keys",
    "consistency": "the log does not accept the proof",
}


class OtherPositionError(DeliveryError):
    """The log has another entry as this trail's last one than the records say: both are compared again."""


class ReceiptRefusedError(DeliveryError):
    """The log returned something that is not its proof of this checkpoint."""


class LogWitness:
    """The agency's log, for one trail."""

    def __init__(
        self,
        table: LogTable,
        *,
        trail: Path | None = None,
        evidence: Path | None = None,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`trail` and `evidence`, the folder of receipt keys, are needed to submit."""
        self._table, self._trail, self._evidence = table, trail, evidence
        self._seconds, self._clock = seconds, clock
        self._read: tuple[Policy, Client, str] | None = None
        self._identity: str | None = None

    def newest(self, known: Offer | None) -> Offer | None:
        """The trail's last entry. Raises DeliveryError."""
        policy, client, token = self._service()
        status, retry, body = self._exchange(client, "GET", f"{policy.file.url}/trails/{self._trail_id()}", token)
        if status == 404:
            return None
        if status != 200:
            raise _by_status(status, retry)
        try:
            found = read_message(body, Newest)
        except LeafError as error:
            raise DeliveryError(f"the agency's log: {error}") from error
        if found.frozen:
            raise DeliveryError(_TEXT["frozen"])
        if known is not None and known.note == found.note:
            return known
        return Offer(previous=found.previous, consistency=found.consistency, note=found.note)

    def submit(self, offer: Offer) -> LogReceipt:
        """Have the log take the checkpoint; return the proof, verified. Raises DeliveryError."""
        submission = Submission(
            trail=self._trail_id(), previous=offer.previous, consistency=offer.consistency, note=offer.note
        )
        status, retry, body = self._posted(submission)
        if status == _WANTS_EVIDENCE:
            submission = msgspec.structs.replace(
                submission, first=self._first(offer), evidence=self._evidence_for(offer)
            )
            status, retry, body = self._posted(submission)
        if status == 200:
            return self._proven(offer, body)
        raise _refused(status, retry, body)

    def verify(self, offer: Offer, receipt: LogReceipt) -> str:
        """Verify a receipt under the policy, or one before it, whatever its age; return when a quorum had cosigned it.

        Raises ReceiptRefusedError.
        """
        try:
            policy, _, _ = self._service(online=False)
            policies = [policy, *(load_policy(Path(each)) for each in self._table.earlier_policies)]
        except StartupError as error:
            raise DeliveryError(f"the agency's log: {error}") from error
        for each in policies[:-1]:
            with suppress(ReceiptRefusedError):
                return _at(_verified(each, offer, receipt, now=None))
        return _at(_verified(policies[-1], offer, receipt, now=None))

    def _proven(self, offer: Offer, body: bytes) -> LogReceipt:
        try:
            added = read_message(body, Added)
        except LeafError as error:
            raise ReceiptRefusedError(f"the agency's log: {error}") from error
        receipt = LogReceipt(trail=self._trail_id(), entry=added.entry, proof=added.proof)
        policy, _, _ = self._service()
        _verified(policy, offer, receipt, now=int(self._clock()))
        return receipt

    def _service(self, *, online: bool = True) -> tuple[Policy, Client, str]:
        """The policy, the client and the token; offline without the files that only a submission needs."""
        if self._read is None or (online and not self._read[2]):
            try:
                policy = load_policy(Path(self._table.policy))
                token = read_token(Path(self._table.token_file)) if online else ""
                context = tls_context(ca_file=self._table.ca_file) if online and _is_https(policy) else None
            except (StartupError, OSError, ssl.SSLError, ValueError) as error:
                raise DeliveryError(f"the agency's log: {error}") from error
            self._read = policy, Client(context, seconds=self._seconds, plain=True), token
        return self._read

    def _posted(self, submission: Submission) -> tuple[int, str | None, bytes]:
        policy, client, token = self._service()
        return self._exchange(client, "POST", f"{policy.file.url}/entries", token, msgspec.json.encode(submission))

    def _exchange(
        self, client: Client, method: str, url: str, token: str, body: bytes | None = None
    ) -> tuple[int, str | None, bytes]:
        try:
            answer = client.exchange(method, url, headers={"Authorization": f"Bearer {token}"}, body=body)
        except ExchangeError as error:
            raise DeliveryError(f"the agency's log: {error}") from error
        return answer.status, answer.headers.get("retry-after"), answer.body

    def _trail_id(self) -> str:
        """The identity of the trail, which is the hash of its first line, also of one that was pruned."""
        if self._identity is None:
            try:
                with opened(self._path()) as trail:
                    first = next(trail.lines(), None)
                    if trail.pruned is not None:
                        self._identity = trail.pruned.first_hash
                    elif first is None:
                        raise DeliveryError("the trail has no line yet")
                    else:
                        self._identity = identity_of(first)
            except LeafError as error:
                raise DeliveryError(f"this is not a trail from its start: {error}") from error
        return self._identity

    def _first(self, offer: Offer) -> FirstLine | None:
        """The first line, with its proof in the tree of the checkpoint; None if it was pruned."""
        with opened(self._path()) as trail:
            return None if trail.pruned is not None else first_line(trail.lines(), offer.checkpoint().size)

    def _evidence_for(self, offer: Offer) -> str:
        if self._evidence is None:
            raise DeliveryError(_TEXT["unknown_key"])
        try:
            found = read_evidence_for(self._evidence, parse_checkpoint(offer.note.encode()))
        except StartupError as error:
            raise DeliveryError(str(error)) from error
        if found is None:
            raise DeliveryError(_TEXT["unknown_key"])
        return base64.b64encode(found).decode()

    def _path(self) -> Path:
        if self._trail is None:
            raise DeliveryError("no trail to deliver")
        return self._trail


def first_line(trail: Iterable[bytes], size: int) -> FirstLine:
    """The first line of a trail, and its inclusion proof in the tree of the first `size` lines.

    The proof is of the roots over leaf 1, over leaves 2 and 3, 4 to 7, and so on until the last.
    """
    first, proof, tree = b"", [], Frontier()
    for number, line in enumerate(islice(trail, size)):
        if number == 0:
            first = line
            continue
        if tree.size and number & (number - 1) == 0:
            proof.append(tree.root().hex())
            tree = Frontier()
        tree.append(leaf_hash(line))
    if tree.size:
        proof.append(tree.root().hex())
    return FirstLine(line=first.decode(), inclusion=tuple(proof))


def _verified(policy: Policy, offer: Offer, receipt: LogReceipt, *, now: int | None) -> Cosigned:
    """The checkpoint under which a receipt's entry is this offer's. Raises ReceiptRefusedError."""
    try:
        proof = parse_proof(receipt.proof.encode())
        proof.shows(receipt.entry, trail=receipt.trail, note=offer.note)
        return policy.accept(proof.note, now=now)
    except CheckpointError as error:
        raise ReceiptRefusedError(f"the proof of the agency's log: {error}") from error


def _at(found: Cosigned) -> str:
    return utc_hundredths(datetime.fromtimestamp(found.at, UTC))


def _is_https(policy: Policy) -> bool:
    return policy.file.url.startswith("https:")


def _refused(status: int, retry: str | None, body: bytes) -> DeliveryError:
    try:
        cause = read_message(body, Refused).cause
    except LeafError:
        return _by_status(status, retry)
    if cause == "previous":
        return OtherPositionError("the agency's log has another entry as this trail's last one")
    if cause in _TEXT:
        return DeliveryError(_TEXT[cause])
    return _by_status(status, retry)


def _by_status(status: int, retry: str | None) -> DeliveryError:
    """The error for an answer with this HTTP status and Retry-After header."""
    seconds = retry_after(retry, most=MAX_RETRY_AFTER) or 0.0
    return DeliveryError(f"the agency's log {_STATUS.get(status, 'fails')} (HTTP {status})", after=seconds)
