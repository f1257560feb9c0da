"""`cji policy build`: a strong release policy, or the policy of an attestation provider. Uses no network."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cji_attestation import AttestationError
from cji_attestation.evidence.tpm_structures import PCRS
from cji_attestation.verbs.evidence_file import golden
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure, explained
from cji_deploy.verbs.policy.release_policies import CLOUD, FOR, Subject, print_findings

if TYPE_CHECKING:
    from cji_attestation import Trust
    from cji_attestation.appraisal import ReferenceValues


@click.command("build")
@FOR
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
@click.option(
    "--also", type=FILE, help="Release policy whose machines stay accepted, such as that of the image in use."
)
@click.option("--pcr", "chosen", type=click.IntRange(0, 7), multiple=True, help="Of --pcrs-from, only these.")
@PROFILE
@CONFIG
@CLOUD
@click.pass_context
@explained
def build(
    context: click.Context,
    *,
    subject: Subject,
    authority: str | None,
    template: bool,
    hardware: tuple[str, ...],
    pins: tuple[str, ...],
    golden: tuple[Path, ...],
    chosen: tuple[int, ...],
    also: Path | None,
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
      cji policy build --authority URL --pcrs-from next/evidence.json --pcr 4 --also policy.json > both.json
      cji policy build --for maa > deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if subject == "maa":
        if any((authority, template, hardware, pins, golden, chosen, also, profile, config)):
            raise Failure("the provider's policy has no variants", remedy="Give --for maa alone.", status=2)
        click.echo(_maa_policy(), nl=False)
        return
    if template == (authority is not None):
        raise Failure("give --authority or --template, one of them", remedy="", status=2)
    booted = _booted(context, golden, chosen, cloud, lambda: reference_values(profile, config))
    given = dict(_pin(text) for text in pins)
    if booted.keys() & given.keys():
        raise Failure("a PCR is given by --pin and by --pcrs-from", remedy="Pin each claim once.", status=2)
    trust = trust_named(context, cloud)
    click.echo(_release_policy(trust, authority, hardware or ("snp",), given | booted, also), nl=False)


def _release_policy(
    trust: "Trust", authority: str | None, hardware: tuple[str, ...], pins: dict[str, str], also: Path | None
) -> bytes:
    """The policy, or without an authority its template; a Failure, with the findings, for one that has an error."""
    from cji_attestation.release import policy as release  # noqa: PLC0415

    try:
        data = release.build(
            authority or release.AUTHORITY_PLACEHOLDER,
            hardware=tuple("tdx" if kind == "tdx" else "snp" for kind in hardware),
            pins=pins,
        )
    except AttestationError as error:
        raise Failure(
            f"these claims cannot be pinned ({error.check})", remedy="Pin each claim once, by name.", status=2
        ) from error
    if also is not None:
        try:
            data = release.either(also.read_bytes(), data)
        except release.PolicyError as error:
            remedy = "`cji policy lint` names what is wrong with it."
            raise Failure(f"{also.name} is not a release policy ({error.check})", remedy=remedy, status=2) from error
    parsed = release.parse_policy(data)
    found = release.lint(parsed if authority else release.filled(parsed, _example(trust)), trust=trust)
    errors = [finding for finding in found if finding.rule.severity == "error"]
    if errors:
        print_findings(tuple(errors), err=True)
        raise Failure("no policy was written", remedy="", status=2)
    return data


def _maa_policy() -> bytes:
    from cji_attestation import provider_policy  # noqa: PLC0415

    return provider_policy.build()


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
