"""A log's way to its witnesses: the client of add-checkpoint, C2SP tlog-witness.

A witness that shows a checkpoint of other leaves, or of more, that this log's keys signed, proves that the log was
restored from a backup or copied: it signs nothing more until a person has looked. The mere word of a witness stops
nothing. A witness that has fewer leaves than it cosigned was restored itself: its cosignatures under this key do not
count any more, and it must come back under a new key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cji_audit.errors import AuditError
from cji_audit.tlog.store import LogStore
from cji_core.https import Client, ExchangeError
from cji_core.tlog.policy import Policy, Witness
from cji_core.tlog.requests import SIZE_TYPE, encode_body, parse_size
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, NoteSignature, parse_cosigned, parse_signatures
from cji_core.trail.merkle import consistency_proof

SECONDS: Final = 15.0


class CosigningError(AuditError):
    """A witness did not cosign; the text has fixed words and numbers."""

    code = "witness-refused"
    remedy = "Ask the witness's operator for the reason; it is asked again."


class KeyUnusableError(CosigningError):
    """The log's own key did not sign: the token is gone, or locked."""

    code = "log-key"


class LogBehindError(CosigningError):
    """A witness cosigned more leaves than this log has, or others: this log is not the newest, or not the only one."""

    code = "log-behind"
    remedy = "Stop this log. Restore its newest store, or find the other server that signs with its keys."


class WitnessRestoredError(CosigningError):
    """A witness forgot leaves that it cosigned."""

    code = "witness-restored"
    remedy = "Have its operator make a new key (cji witness key), and put it into the policy by a statement."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """One witness of one log, and the connection to it."""

    witness: Witness
    client: Client
    policy: Policy
    store: LogStore
    seconds: float = SECONDS

    def ask(self, note: Checkpoint, *, cosigned: int) -> tuple[NoteSignature, ...]:
        """Its cosignatures on a checkpoint that the log signed, verified. Raises CosigningError.

        `cosigned` is the size that it cosigned last with these keys.
        """
        old = cosigned
        for _ in range(2):
            status, kind, body = self._post(note, old)
            if status == 200:
                return self._verified(note, body)
            if status != 409 or kind != SIZE_TYPE:
                if status in {409, 422}:  # 409 without a size: as many leaves with another root
                    self._require_one_history(note)
                raise _refusal(self.witness.name, status)
            try:
                theirs = parse_size(body)
            except CheckpointError as error:
                raise CosigningError(f"{self.witness.name}: {error}") from None
            if theirs > note.size:
                self._require_one_history(note)
                raise CosigningError(f"{self.witness.name} says that it cosigned {theirs} leaves, and does not show it")
            if theirs < cosigned:
                raise WitnessRestoredError(
                    f"{self.witness.name} cosigned {cosigned} leaves, and now it has {theirs}: it was restored"
                )
            if theirs == old:
                break
            old = theirs
        self._require_one_history(note)
        raise CosigningError(f"{self.witness.name} refuses the size that it asked for")

    def _post(self, note: Checkpoint, old: int) -> tuple[int, str, bytes]:
        proof = consistency_proof(old, note.size, self.store.subtree) if 0 < old < note.size else []
        url = self.witness.url.rstrip("/") + "/add-checkpoint"
        try:
            answer = self.client.exchange(
                "POST", url, body=encode_body(old, proof, note.encode()), seconds=self.seconds
            )
        except ExchangeError as error:
            raise CosigningError(f"{self.witness.name}: {error}") from error
        return answer.status, answer.headers.get("content-type", "").strip(), answer.body

    def _require_one_history(self, note: Checkpoint) -> None:
        """Raise LogBehindError if the witness shows a checkpoint that this log signed, and does not have."""
        url = f"{self.witness.url.rstrip('/')}/{sha256(note.origin.encode()).hexdigest()}/checkpoint"
        try:
            answer = self.client.exchange("GET", url, seconds=self.seconds)
            if answer.status != 200:
                return
            shown = parse_cosigned(answer.body)
            self.policy.signed_by_log(shown)
        except (ExchangeError, CheckpointError):
            return
        if shown.size > note.size or self.store.root(shown.size) != shown.root:
            raise LogBehindError(
                f"{self.witness.name} has a checkpoint of {shown.size} leaves, signed by this log's keys, "
                f"that this log of {note.size} does not have: this is an older copy, or another server has its keys"
            )

    def _verified(self, note: Checkpoint, body: bytes) -> tuple[NoteSignature, ...]:
        """One signature of each of the witness's pinned keys; more of them, and those of other keys, are ignored."""
        try:
            wanted = {(key.name, key.key_id) for key in self.witness.keys}
            by_key = {(each.name, each.key_id): each for each in parse_signatures(body)}
            found = tuple(each for name, each in by_key.items() if name in wanted)
            signed = with_signatures(note, found)
            missing = [key for key in self.witness.keys if key.signature_on(signed) is None]
        except CheckpointError as error:
            raise CosigningError(f"{self.witness.name}: its answer: {error}") from None
        if missing:
            raise CosigningError(f"{self.witness.name} did not sign with the key {missing[0].key_id.hex()}")
        return found


def with_signatures(note: Checkpoint, more: Sequence[NoteSignature]) -> Checkpoint:
    """The note with more signatures below those that it has."""
    return Checkpoint(
        origin=note.origin, size=note.size, root=note.root, text=note.text, signatures=(*note.signatures, *more)
    )


def _refusal(name: str, status: int) -> CosigningError:
    words = {
        403: "does not accept the log's signature",
        404: "does not know the log",
        409: "has another tree of this size",
        422: "does not find the checkpoint consistent",
    }
    return CosigningError(f"{name} {words.get(status, 'refuses the checkpoint')} (HTTP {status})")
