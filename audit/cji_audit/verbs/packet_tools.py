"""Shared by the verbs of packets: their errors, common options, and the part of attestation in a packet."""

import hashlib
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec

import click

from cji_attestation.attested import evidence_cloud, read_evidence
from cji_attestation.checks import Skipped
from cji_attestation.findings import Finding, Rule
from cji_attestation.verbs.reference_values import reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_audit.packet.attachments import Tools
from cji_audit.packet.errors import PacketError
from cji_audit.packet.material import File, Machine
from cji_core.command.common import FILE, Failure
from cji_core.errors import ClientError, SpecError, Unverified
from cji_core.jose import VerifyingKey, key_id

P = ParamSpec("P")
CLOUD: Final = click.option("--cloud", default="azure-us", show_default=True, help="Whose providers may be named.")
TRAIL: Final = click.option("--trail", "trails", type=FILE, multiple=True, help="Audit trail; one of each worker.")


def packet_refusals(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a PacketError into a Failure 2, and an unreadable file too."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PacketError as error:
            raise Failure(error.what, remedy=error.remedy, status=2) from error
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}", remedy="Name a readable file.", status=2) from error

    return run


def tools_for(context: click.Context, *, cloud: str, profile: Path | None) -> Tools:
    """The tools, with the trusts that the command was built with; the imports need the TPM's libraries."""
    from cji_attestation.provider_policy import RULES as MAA_RULES  # noqa: PLC0415
    from cji_attestation.provider_policy import MaaPolicyError, policy_hash  # noqa: PLC0415
    from cji_attestation.provider_policy import lint as lint_maa  # noqa: PLC0415
    from cji_attestation.provider_policy import parse_policy as parse_maa  # noqa: PLC0415
    from cji_attestation.release.policy import RULES, PolicyError, lint, parse_policy  # noqa: PLC0415

    trust, reference = trust_named(context, cloud), reference_values(profile, None)

    def release(data: bytes) -> list[str]:
        try:
            return _lines(lint(parse_policy(data), trust=trust))
        except PolicyError as error:
            return [_line(RULES[error.check])]

    def provider(data: bytes) -> list[str]:
        try:
            return _lines(lint_maa(parse_maa(data)))
        except MaaPolicyError as error:
            return [_line(MAA_RULES[error.check])]

    def appraise(name: str, data: bytes) -> tuple[Machine, VerifyingKey | None]:
        file = File.of(name, data)
        try:
            found = read_evidence(data, trust=trust_named(context, evidence_cloud(data)), reference=reference)
        except (Unverified, SpecError) as error:
            return _refused_machine(file, error), None
        verdict = found.verdict
        machine = Machine(
            file=file,
            refused="",
            cloud=found.cloud,
            simulated=found.simulated,
            tee=str(verdict.tee),
            product=verdict.product,
            measurement=verdict.measurement.hex(),
            pcrs=tuple(each.hex() for each in verdict.pcrs),
            evidence_sha384=hashlib.sha384(found.shown.token_evidence).hexdigest(),
            line=0,
            receipt_key=key_id(found.receipt_key),
            appraised_at=found.time.at.isoformat(timespec="seconds"),
            time_by=found.time.by,
            checks=len(found.checks) - len(found.unchecked),
            unchecked=tuple(sorted({check.id for check in found.unchecked})),
            stamped=any(check.id == "E51" and not isinstance(check, Skipped) for check in found.checks),
        )
        return machine, found.receipt_key

    return Tools(lint_release_policy=release, lint_maa_policy=provider, maa_policy_hash=policy_hash, appraise=appraise)


def _refused_machine(file: File, error: ClientError) -> Machine:
    return Machine(
        file=file,
        refused=str(error),
        cloud="",
        simulated=False,
        tee="",
        product="",
        measurement="",
        pcrs=(),
        evidence_sha384="",
        line=0,
        receipt_key="",
        appraised_at="",
        time_by="",
        checks=0,
        unchecked=(),
    )


def _lines(found: Iterable[Finding]) -> list[str]:
    return [_line(each.rule, each.detail) for each in found]


def _line(rule: Rule, detail: str = "") -> str:
    return f"{rule.severity} {rule.id} {rule.title}" + (f": {detail}" if detail else "")
