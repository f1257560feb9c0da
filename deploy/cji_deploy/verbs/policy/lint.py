"""`cji policy lint`: the weaknesses of a release policy, or of the policy of an attestation provider."""

from typing import TYPE_CHECKING, Annotated, BinaryIO

import click
import msgspec

from cji_attestation import AttestationError
from cji_attestation.trust import endpoint
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import Failure
from cji_core.command.json_output import answers, member, print_document
from cji_core.strict import b64url_decode
from cji_deploy.verbs.policy.release_policies import CLOUD, COLOURS, FOR, MAX_BYTES, Subject, print_findings

if TYPE_CHECKING:
    from cji_attestation import Trust
    from cji_attestation.findings import Finding


class BrokenRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule about policies."""

    id: Annotated[str, member("its id")]
    severity: Annotated[str, member("`error` or `warning`")]
    title: Annotated[str, member("what is wrong")]
    why: Annotated[str, member("why it matters")]
    remedy: Annotated[str, member("what to do")]


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a policy breaks."""

    rule: Annotated[BrokenRule, member("the rule")]
    detail: Annotated[str, member("particulars; may be empty")]
    where: Annotated[tuple[str, ...], member("places in the policy")]


@click.command("lint")
@FOR
@click.argument("file", type=click.File("rb"))
@click.option("--authority", metavar="URL", help="The provider that the workers use; fills a template's placeholder.")
@CLOUD
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@answers(Weakness, listed=True)
@click.pass_context
def lint(
    context: click.Context,
    file: BinaryIO,
    *,
    subject: Subject,
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
    data = file.read(MAX_BYTES)
    found = _lint_maa(data) if subject == "maa" else _lint(_document(data), trust, authority)
    if as_json:
        print_document(msgspec.to_builtins(found), indent=2)
    else:
        print_findings(found)
        count = {level: sum(finding.rule.severity == level for finding in found) for level in COLOURS}
        click.echo(", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in count.items()))
    context.exit(1 if any(strict or finding.rule.severity == "error" for finding in found) else 0)


def _lint_maa(data: bytes) -> tuple["Finding", ...]:
    from cji_attestation import provider_policy as maa  # noqa: PLC0415
    from cji_attestation.findings import Finding  # noqa: PLC0415

    try:
        return maa.lint(maa.parse_policy(data))
    except maa.MaaPolicyError as error:
        return (Finding(rule=maa.RULES[error.check], detail="", where=(error.where or "the text",)),)


def _lint(data: bytes, trust: "Trust", authority: str | None) -> tuple["Finding", ...]:
    from cji_attestation.release import policy as release  # noqa: PLC0415

    try:
        parsed = release.parse_policy(data)
    except release.PolicyError as error:
        return (release.Finding(rule=release.RULES[error.check], detail="", where=(error.where or "the document",)),)
    if authority is not None:
        parsed = release.filled(parsed, authority)
    return release.lint(parsed, trust=trust, authority=authority)


def _document(data: bytes) -> bytes:
    """The policy itself, where `data` is its base64url; JSON begins with a brace, which base64url has not."""
    try:
        return b64url_decode(data.strip().decode("ascii"))
    except ValueError:
        return data
