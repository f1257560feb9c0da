r"""Another policy of the agency's log, so other witnesses, in a later bundle: only with the word of the old ones.

A bundle that names a log has its policy as `log/policy.toml`. A machine keeps which policy is in force, and takes a
bundle with another one only if the bundle leads from the one to the other:

    log/NAME.change.json   written by `cji log change-policy`: an operator of the old policy stated the new one, in the
                           log, under a checkpoint that a quorum of the old witnesses cosigned
    log/NAME.lost.json     written by `cji bundle witnesses-lost`, if no quorum of the old witnesses answers any more: a
                           dated statement by a key that signs nothing else, `witnesses-lost.pem` of the image

    signed   ES384 over "cji-witnesses-lost/1\0" ‖ the statement in its one form

A signer of bundles can do neither. Steps count in the order of their times; one that is not later than the last step
in force is not taken again, so an earlier policy does not come back by an old change. A machine without a policy in
force, a new one, takes that of its first bundle.

Contract and invariants
* Pure: files, a key and a time in, the policy that is in force then out. No I/O.
* Every step that a machine takes was verified under the policy that was in force before it.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import CHANGE_SUFFIX, LOG_POLICY, LOST_SUFFIX
from cji_attestation.bundle.signatures import WITNESSES_LOST, Signer
from cji_core.boot_codes import BootCode
from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.jose import es384_verify
from cji_core.strict import StrictError, b64_decode
from cji_core.tlog.changes import UnverifiedChange, read_change
from cji_core.tlog.leaves import LeafError, PolicyDecision
from cji_core.tlog.policy import Policy, decode_policy, read_policy
from cji_core.trail.checkpoint import CheckpointError
from cji_core.trail.fields import Text, Utc, utc_hundredths

MAX_LOST_BYTES: Final = 16 << 10
_DOMAIN: Final = b"cji-witnesses-lost/1\0"
_SKEW: Final = timedelta(minutes=5)
_REMEDY: Final = (
    "Put the file of `cji log change-policy` into the bundle as log/NAME.change.json, beside the old policy as "
    "log/NAME.toml; if the old witnesses are lost, a statement of `cji bundle witnesses-lost`."
)


class InForce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy of the log that a machine has: its digest, and the time of the step that led to it, if one did."""

    policy_sha384: Hex96
    time: Utc | None


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement that the witnesses of a policy are lost, and which policy follows it in this pool."""

    version: Literal[1] = 1
    pool: Annotated[str, Meta(min_length=1, max_length=1024)]
    previous_sha384: Hex96
    policy_sha384: Hex96
    operator: Text
    explanation: Text
    time: Utc


class SignedLoss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement, and the signature over it (base64)."""

    statement: Loss
    signature: Annotated[str, Meta(max_length=128)]


_LOSS: Final = OneForm(Loss, limit=MAX_LOST_BYTES)
_SIGNED: Final = OneForm(SignedLoss, limit=MAX_LOST_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one policy to the next, verified. `how` is who had to agree."""

    file: str
    how: Literal["quorum", "lost"]
    previous_sha384: str
    policy_sha384: str
    operator: str
    explanation: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """The policy of the log in a bundle, and the steps that a machine takes to it."""

    in_force: InForce
    steps: tuple[Step, ...]


def sign_loss(statement: Loss, signer: Signer) -> bytes:
    """The file `log/NAME.lost.json`. Raises BundleRefused for a statement that is too long."""
    try:
        signature = base64.b64encode(signer.es384(_DOMAIN + _LOSS.encode(statement))).decode()
        return _SIGNED.encode(SignedLoss(statement=statement, signature=signature))
    except StrictError as error:
        raise BundleRefused(f"The statement cannot be written: {error}", "Shorten what you wrote.") from error


def follow(
    files: Mapping[str, bytes],
    *,
    pool: str,
    lost: ec.EllipticCurvePublicKey | None,
    in_force: InForce | None,
    now: datetime,
) -> Witnesses | None:
    """The witnesses of a bundle, if they may follow those in force; None if it names no log, and none is in force.

    `lost` is the image's key for statements of loss. Raises BundleRefused, status 3.
    """
    if LOG_POLICY not in files:
        if in_force is None:
            return None
        _refuse("The bundle names no log; this machine has one in force, whose witnesses would be left")
    goal = _policy(LOG_POLICY, files[LOG_POLICY]).digest
    steps = sorted(_steps(files), key=lambda step: step.time)
    policies = _policies(files, steps)
    at, taken = _start(goal, steps, in_force), []
    for step in _due(steps, at, in_force):
        if step.time > utc_hundredths(now + _SKEW):
            _refuse(f"{step.file} is of {step.time}, which is in the future")
        if step.previous_sha384 != at:
            _refuse(f"{step.file} follows another policy than the one in force")
        _verify(step, policies.get(at), pool=pool, lost=lost)
        taken.append(step.verified())
        at = step.policy_sha384
    if at != goal:
        _refuse(f"{LOG_POLICY} is another policy of the log than the one in force, and nothing leads from that to it")
    time = taken[-1].time if taken else None if in_force is None else in_force.time
    return Witnesses(in_force=InForce(policy_sha384=goal, time=time), steps=tuple(taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unverified:
    file: str
    read: UnverifiedChange | SignedLoss
    policy_sha384: str

    @property
    def stated(self) -> PolicyDecision | Loss:
        return self.read.statement if isinstance(self.read, SignedLoss) else self.read.decision

    @property
    def previous_sha384(self) -> str:
        return self.stated.previous_sha384

    @property
    def time(self) -> str:
        return self.stated.time

    def verified(self) -> Step:
        """As it is shown, once it is verified."""
        stated = self.stated
        return Step(
            file=self.file,
            how="lost" if isinstance(stated, Loss) else "quorum",
            previous_sha384=self.previous_sha384,
            policy_sha384=self.policy_sha384,
            operator=stated.operator,
            explanation=stated.explanation,
            time=stated.time,
        )


def check_steps(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The files of a bundle that are steps, well-formed; no signature is verified. Raises BundleRefused."""
    return tuple(each.file for each in _steps(files))


def _start(goal: str, steps: list[_Unverified], in_force: InForce | None) -> str:
    if in_force is not None:
        return in_force.policy_sha384
    return steps[0].previous_sha384 if steps else goal


def _due(steps: list[_Unverified], at: str, in_force: InForce | None) -> Iterator[_Unverified]:
    """The steps that are not behind the policy in force: later than the one that led to it, if one did."""
    if in_force is not None and in_force.time is not None:
        known = in_force.time
        yield from (step for step in steps if step.time > known)
        return
    first = next((number for number, step in enumerate(steps) if step.previous_sha384 == at), len(steps))
    yield from steps[first:]


def _verify(step: _Unverified, before: Policy | None, *, pool: str, lost: ec.EllipticCurvePublicKey | None) -> None:
    """Raise BundleRefused unless the step leads on from the policy `before`."""
    if isinstance(step.read, SignedLoss):
        _require_loss(step.file, step.read, pool=pool, lost=lost)
        return
    if before is None:
        _refuse(f"The bundle lacks the policy {step.previous_sha384[:16]}…, under which {step.file} was cosigned")
    try:
        step.read.verify(before)
    except (LeafError, CheckpointError) as error:
        _refuse(f"{step.file} is refused: {error}", error)


def _require_loss(file: str, signed: SignedLoss, *, pool: str, lost: ec.EllipticCurvePublicKey | None) -> None:
    if lost is None:
        _refuse(f"{file}: the image has no {WITNESSES_LOST}, so no statement of loss counts")
    if signed.statement.pool != pool:
        _refuse(f"{file} is of pool {signed.statement.pool!a}, the bundle of {pool!a}")
    try:
        es384_verify(lost, b64_decode(signed.signature), _DOMAIN + _LOSS.encode(signed.statement))
    except (InvalidSignature, StrictError) as error:
        _refuse(f"{file} is not signed by {WITNESSES_LOST} of the image", error)


def _policies(files: Mapping[str, bytes], steps: Iterable[_Unverified]) -> dict[str, Policy]:
    """By their digests, on which alone their worth depends: those of the bundle, and those that changes contain."""
    found = [_policy(name, data) for name, data in files.items() if re.fullmatch(r"log/.*\.toml", name)]
    found += [decode_policy(each.stated.policy.encode()) for each in steps if isinstance(each.stated, PolicyDecision)]
    return {each.digest: each for each in found}


def _policy(name: str, data: bytes) -> Policy:
    try:
        return read_policy(data)
    except (ValueError, RecursionError, CheckpointError) as error:
        raise BundleRefused(f"{name} is not valid: {error}", "Compare it with docs/witnesses.md.") from error


def _steps(files: Mapping[str, bytes]) -> Iterator[_Unverified]:
    for name, data in files.items():
        try:
            if name.endswith(CHANGE_SUFFIX):
                change = read_change(data)
                after = decode_policy(change.decision.policy.encode()).digest
                yield _Unverified(file=name, read=change, policy_sha384=after)
            elif name.endswith(LOST_SUFFIX):
                signed = _SIGNED.decode(data)
                yield _Unverified(file=name, read=signed, policy_sha384=signed.statement.policy_sha384)
        except (LeafError, CheckpointError, ValueError) as error:  # StrictError is a ValueError
            raise BundleRefused(
                f"{name} cannot be read: {error}",
                "Use the file of `cji log change-policy` or `cji bundle witnesses-lost`, as it is.",
            ) from error


def _refuse(what: str, cause: Exception | None = None) -> NoReturn:
    raise BundleRefused(what, _REMEDY, status=3, boot_code=BootCode.WITNESSES) from cause


def stated_now() -> str:
    """The time of a statement that is made now."""
    return utc_hundredths(datetime.now(UTC))
