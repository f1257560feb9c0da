"""`cji policy`: write the release policy of a key, and find what is weak in one. Uses no network.

The rules live in `attestation.release.policy`. It is imported when a verb runs: what stands beside it needs the TPM's
libraries, and `cji doctor` has to start without them.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from attestation import AttestationError
from attestation.jose import b64url_decode
from attestation.trust import endpoint
from worker.cli.common import Failure, trust_named

if TYPE_CHECKING:
    from attestation import Trust
    from attestation.release.policy import Finding

__all__ = ["policy"]

_COLOURS: Final = {"error": "red", "warning": "yellow"}
_CLOUD = click.option("--cloud", default="azure-us", show_default=True, help="Whose providers may be named.")
_MAX_BYTES: Final = 64 << 10  # of a file; the policy in it is smaller


@click.group()
def policy() -> None:
    """Write and check the release policy of a key: which machines Key Vault may give it to."""


@policy.command("build")
@click.option("--authority", metavar="URL", help="Your own attestation provider, https://NAME.REGION.attest.azure.net.")
@click.option("--template", is_flag=True, help="Leave a placeholder where the authority goes, as deploy/ needs it.")
@click.option(
    "--hardware", type=click.Choice(["snp", "tdx"]), multiple=True, default=["snp"], help="May be given twice."
)
@click.option(
    "--pin", "pins", metavar="CLAIM=TEXT", multiple=True, help="A further claim, such as a PCR of your image."
)
@_CLOUD
@click.pass_context
def build_command(
    context: click.Context,
    *,
    authority: str | None,
    template: bool,
    hardware: tuple[str, ...],
    pins: tuple[str, ...],
    cloud: str,
) -> None:
    """Print a strong policy: confidential VMs with secure boot, nothing debuggable, attested by one provider.

    \b
    Examples:
      cji policy build --authority https://agency.eus2.attest.azure.net > policy.json
      cji policy build --template > deploy/policy/release-policy.json
      cji policy build --authority URL --pin x-ms-azurevm-attested-pcr-values.pcr4=BASE64
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from attestation.release.policy import AUTHORITY_PLACEHOLDER, build, filled, lint, parse_policy  # noqa: PLC0415

    if template == (authority is not None):
        raise Failure("give --authority or --template, one of them", remedy="", status=2)
    trust = trust_named(context, cloud)
    try:
        data = build(
            authority or AUTHORITY_PLACEHOLDER,
            hardware=tuple("tdx" if kind == "tdx" else "snp" for kind in hardware),
            pins=dict(_pin(text) for text in pins),
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
    click.echo(data, nl=False)


@policy.command("lint")
@click.argument("file", type=click.File("rb"))
@click.option("--authority", metavar="URL", help="The provider that the workers use; fills a template's placeholder.")
@_CLOUD
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.pass_context
def lint_command(
    context: click.Context, file: BinaryIO, *, authority: str | None, cloud: str, strict: bool, as_json: bool
) -> None:
    """Say what is weak in the release policy in FILE (- for standard input), why, and what to do about it.

    FILE is the JSON, or its base64url as Key Vault returns it. Every way to satisfy the policy is looked at: one
    weak alternative is enough. The exit status is 1 when there is an error, and 0 when there are warnings at most.

    \b
    Examples:
      cji policy lint policy.json
      cji policy lint deploy/policy/release-policy.json --authority https://agency.eus2.attest.azure.net
      az keyvault key show --vault-name VAULT --name cji-cmk \\
        --query releasePolicy.encodedPolicy -o tsv | cji policy lint -
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    trust = trust_named(context, cloud)
    if authority is not None:
        try:
            endpoint(authority, trust.maa_hosts, resource="", check="authority")
        except AttestationError as error:
            raise Failure(f"{authority} is no provider of {cloud}", remedy="Compare --cloud.", status=2) from error
    found = _lint(_document(file.read(_MAX_BYTES)), trust, authority)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _print(found)
        count = {level: sum(finding.rule.severity == level for finding in found) for level in _COLOURS}
        click.echo(", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in count.items()))
    context.exit(1 if any(strict or finding.rule.severity == "error" for finding in found) else 0)


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


def _pin(text: str) -> tuple[str, str]:
    claim, equals, value = text.partition("=")
    if not claim or not equals or not value:
        raise Failure(f"--pin {text} has no value", remedy="Write CLAIM=TEXT.", status=2)
    return claim, value


def _example(trust: "Trust") -> str:
    """An address that fits the trust, to judge a template with."""
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
