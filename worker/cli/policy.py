"""`cji policy`: write the policies of a key and of an attestation provider, and find what is weak. Uses no network.

The rules live in `attestation.release.policy` and `attestation.provider_policy`. They are imported when a verb runs,
because the modules around them need the TPM's libraries, and `cji doctor` must start without those.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias

import click
import msgspec

from attestation import AttestationError
from attestation.evidence.tpm_structures import PCRS
from attestation.jose import b64url_decode
from attestation.trust import endpoint
from worker.cli.common import FILE, Failure, explained, trust_named
from worker.cli.evidence_file import golden
from worker.cli.reference_values import CONFIG, PROFILE, reference_values

if TYPE_CHECKING:
    from attestation import Trust
    from attestation.appraisal import ReferenceValues
    from attestation.findings import Finding

_COLOURS: Final = {"error": "red", "warning": "yellow"}
_CLOUD = click.option("--cloud", default="azure-us", show_default=True, help="Whose providers may be named.")
_MAX_BYTES: Final = (64 << 10) + 1  # of a file; a larger one is refused by every grammar
_Subject: TypeAlias = Literal["vault", "maa"]
_FOR = click.option(
    "--for",
    "subject",
    type=click.Choice(["vault", "maa"]),
    default="vault",
    show_default=True,
    help="The release policy of a key in Key Vault, or the policy of an attestation provider.",
)


@click.group()
def policy() -> None:
    """Write and check the policies that decide who gets the key: the key's own, and the attestation provider's."""


@policy.command("build")
@_FOR
@click.option("--authority", metavar="URL", help="Your own attestation provider, https://NAME.REGION.attest.azure.net.")
@click.option("--template", is_flag=True, help="Leave a placeholder where the authority goes, as deploy/ needs it.")
@click.option(
    "--hardware", type=click.Choice(["snp", "tdx"]), multiple=True, help="May be given twice.  [default: snp]"
)
@click.option(
    "--pin", "pins", metavar="CLAIM=TEXT", multiple=True, help="A further claim, such as a PCR of your image."
)
@click.option(
    "--pcrs-from",
    "golden",
    type=FILE,
    multiple=True,
    help="Pin the PCRs of this machine's evidence; may be given again.",
)
@click.option("--pcr", "chosen", type=click.IntRange(0, 7), multiple=True, help="Of --pcrs-from, only these.")
@PROFILE
@CONFIG
@_CLOUD
@click.pass_context
@explained
def build_command(
    context: click.Context,
    *,
    subject: _Subject,
    authority: str | None,
    template: bool,
    hardware: tuple[str, ...],
    pins: tuple[str, ...],
    golden: tuple[Path, ...],
    chosen: tuple[int, ...],
    profile: Path | None,
    config: Path | None,
    cloud: str,
) -> None:
    """Print a strong policy: confidential VMs with secure boot, nothing debuggable, attested by one provider.

    With --for maa, print the provider's own: every fact of the boot that the provider can check must be sound. It
    has no variants, so none of the other options goes with it.

    \b
    Examples:
      cji policy build --authority https://agency.eus2.attest.azure.net > policy.json
      cji policy build --template > deploy/policy/release-policy.json
      cji policy build --authority URL --pin x-ms-azurevm-attested-pcr-values.pcr4=BASE64
      cji policy build --authority URL --pcrs-from golden/evidence.json --pcr 4 --pcr 7
      cji policy build --for maa > deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if subject == "maa":
        if any((authority, template, hardware, pins, golden, chosen, profile, config)):
            raise Failure("the provider's policy has no variants", remedy="Give --for maa alone.", status=2)
        click.echo(_maa_policy(), nl=False)
        return
    if template == (authority is not None):
        raise Failure("give --authority or --template, one of them", remedy="", status=2)
    booted = _booted(context, golden, chosen, cloud, lambda: reference_values(profile, config))
    given = dict(_pin(text) for text in pins)
    if booted.keys() & given.keys():
        raise Failure("a PCR is given by --pin and by --pcrs-from", remedy="Pin each claim once.", status=2)
    click.echo(_release_policy(trust_named(context, cloud), authority, hardware or ("snp",), given | booted), nl=False)


def _release_policy(trust: "Trust", authority: str | None, hardware: tuple[str, ...], pins: dict[str, str]) -> bytes:
    """The policy, or without an authority its template; a Failure, with the findings, for one that has an error."""
    from attestation.release.policy import AUTHORITY_PLACEHOLDER, build, filled, lint, parse_policy  # noqa: PLC0415

    try:
        data = build(
            authority or AUTHORITY_PLACEHOLDER,
            hardware=tuple("tdx" if kind == "tdx" else "snp" for kind in hardware),
            pins=pins,
        )
    except AttestationError as error:
        raise Failure(
            f"these claims cannot be pinned ({error.check})", remedy="Pin each claim once, by name.", status=2
        ) from error
    found = lint(parse_policy(data) if authority else filled(parse_policy(data), _example(trust)), trust=trust)
    errors = [finding for finding in found if finding.rule.severity == "error"]
    if errors:
        _print(tuple(errors), err=True)
        raise Failure("no policy was written", remedy="", status=2)
    return data


@policy.command("lint")
@_FOR
@click.argument("file", type=click.File("rb"))
@click.option("--authority", metavar="URL", help="The provider that the workers use; fills a template's placeholder.")
@_CLOUD
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.pass_context
def lint_command(
    context: click.Context,
    file: BinaryIO,
    *,
    subject: _Subject,
    authority: str | None,
    cloud: str,
    strict: bool,
    as_json: bool,
) -> None:
    """List the weaknesses of the policy in FILE (- for standard input), why they matter, and how to correct them.

    FILE is the JSON of a release policy, or its base64url as Key Vault returns it; with --for maa it is the text of
    a provider's policy. Every conjunction that satisfies it is checked: one weak alternative is enough. The exit
    status is 1 if there is an error, and 0 if there are only warnings.

    \b
    Examples:
      cji policy lint policy.json
      cji policy lint deploy/policy/release-policy.json --authority https://agency.eus2.attest.azure.net
      az keyvault key show --vault-name VAULT --name cji-cmk \\
        --query releasePolicy.encodedPolicy -o tsv | cji policy lint -
      cji policy lint --for maa deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    trust = trust_named(context, cloud)
    if subject == "maa" and authority is not None:
        raise Failure("a provider's policy names no authority", remedy="Leave --authority out.", status=2)
    if authority is not None:
        try:
            endpoint(authority, trust.maa_hosts, resource="", check="authority")
        except AttestationError as error:
            message = f"{authority} is not a provider in {cloud}"
            raise Failure(message, remedy="Correct --authority or --cloud.", status=2) from error
    data = file.read(_MAX_BYTES)
    found = _lint_maa(data) if subject == "maa" else _lint(_document(data), trust, authority)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        _print(found)
        count = {level: sum(finding.rule.severity == level for finding in found) for level in _COLOURS}
        click.echo(", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in count.items()))
    context.exit(1 if any(strict or finding.rule.severity == "error" for finding in found) else 0)


@policy.command("hash")
@click.argument("file", type=click.File("rb"))
def hash_command(file: BinaryIO) -> None:
    """Print the x-ms-policy-hash of the provider's policy in FILE (- for standard input).

    It is what tokens name the policy by, and what attestation.reference_values.maa_policy_hashes pins. Every byte of
    the text counts, so take the text as it was set; the exit status is 2 for a text that is not a policy.

    \b
    Example:
      cji policy hash deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from attestation.provider_policy import MaaPolicyError, parse_policy, policy_hash  # noqa: PLC0415

    data = file.read(_MAX_BYTES)
    try:
        parse_policy(data)
    except MaaPolicyError as error:
        raise Failure(f"{error.check} at {error.where or 'the text'}", remedy=error.remedy, status=2) from error
    click.echo(policy_hash(data))


def _maa_policy() -> bytes:
    from attestation.provider_policy import build  # noqa: PLC0415

    return build()


def _lint_maa(data: bytes) -> tuple["Finding", ...]:
    from attestation.findings import Finding  # noqa: PLC0415
    from attestation.provider_policy import RULES, MaaPolicyError, lint, parse_policy  # noqa: PLC0415

    try:
        return lint(parse_policy(data))
    except MaaPolicyError as error:
        return (Finding(rule=RULES[error.check], detail="", where=(error.where or "the text",)),)


def _lint(data: bytes, trust: "Trust", authority: str | None) -> tuple["Finding", ...]:
    from attestation.release.policy import RULES, Finding, PolicyError, filled, lint, parse_policy  # noqa: PLC0415

    try:
        parsed = parse_policy(data)
    except PolicyError as error:
        return (Finding(rule=RULES[error.check], detail="", where=(error.where or "the document",)),)
    if authority is not None:
        parsed = filled(parsed, authority)
    return lint(parsed, trust=trust, authority=authority)


def _document(data: bytes) -> bytes:
    """The policy itself, where `data` is its base64url; JSON begins with a brace, which base64url has not."""
    try:
        return b64url_decode(data.strip().decode("ascii"))
    except ValueError:
        return data


def _booted(
    context: click.Context,
    files: tuple[Path, ...],
    chosen: tuple[int, ...],
    cloud: str,
    reference: Callable[[], "ReferenceValues"],
) -> dict[str, str]:
    """PCR claims of machines that pass the appraisal. A policy has one value for each, so they must agree."""
    if chosen and not files:
        raise Failure("--pcr chooses among the PCRs of --pcrs-from", remedy="Give both.", status=2)
    if not files:
        return {}
    machines = golden(files, trust_of=lambda name: trust_named(context, name), cloud=cloud, reference=reference())
    found = {pcr: values for pcr, values in machines.pcrs.items() if pcr in PCRS}  # those of the service's claims
    pins = {}
    for pcr in sorted(set(chosen or found)):
        if len(found[pcr]) > 1:
            remedy = "Give files of one image, or choose with --pcr those that agree."
            raise Failure(f"PCR {pcr} differs between these machines", remedy=remedy, status=2)
        pins[f"x-ms-azurevm-attested-pcr-values.pcr{pcr}"] = base64.b64encode(found[pcr][0]).decode("ascii")
    return pins


def _pin(text: str) -> tuple[str, str]:
    claim, equals, value = text.partition("=")
    if not claim or not equals or not value:
        raise Failure(f"--pin {text} has no value", remedy="Write CLAIM=TEXT.", status=2)
    return claim, value


def _example(trust: "Trust") -> str:
    """An address that fits the trust, to check a template with."""
    pattern = trust.maa_hosts[0]
    return f"https://agency{pattern}" if pattern.startswith(".") else f"https://{pattern}"


def _print(found: tuple["Finding", ...], *, err: bool = False) -> None:
    for finding in found:
        rule = finding.rule
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(
            f"{click.style(f'{rule.severity:8}', fg=_COLOURS[rule.severity])} {rule.id} {rule.title}{detail}", err=err
        )
        more = f" and {len(finding.where) - 1} more" if len(finding.where) > 1 else ""
        click.echo(f"{'':8}   at {finding.where[0]}{more}\n{'':8}   {rule.why}\n{'':8}   {rule.remedy}", err=err)
