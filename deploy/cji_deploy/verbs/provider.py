"""`cji provider`: an attestation provider's keys, and the policies under which it makes tokens.

For the provider's operator, on a machine that may reach it. `show` needs no sign-in; `policy` uses `az login`.
"""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation import AttestationError, Fault
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure, passphrase_for
from cji_core.command.json_output import answers, member, print_answer
from cji_deploy.verbs.policy.hash import PolicyHash

_CLOUD = click.option("--cloud", default="azure-us", show_default=True, help="The cloud of the provider.")
_REMEDIES = {
    Fault.CONFIG_INVALID: "Compare the address with --cloud, the policy with `cji policy lint --for maa`, and key with "
    "certificate.",
    Fault.IDENTITY_UNAVAILABLE: "Sign in with `az login`, with an account of the provider's tenant.",
    Fault.MAA_REFUSED: "Give the account the role Attestation Reader to read policies, Attestation Contributor to set "
    "them. Sign the policy if the provider has policy signers.",
    Fault.TOKEN_INVALID: "Do not trust the answer: this provider did not sign it, or it answers another request.",
}
_STATUS = {Fault.CONFIG_INVALID: 2, Fault.TOKEN_INVALID: 3, Fault.MAA_UNAVAILABLE: 4}


class TokenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that a provider signs tokens with."""

    kid: Annotated[str, member("its name in tokens")]
    spki_sha256: Annotated[str, member("SHA-256 of the key, hexadecimal, for `maa_keys`")]
    subject: Annotated[str, member("subject of its certificate")]
    self_signed: Annotated[bool, member("whether the certificate is signed by itself")]
    until: Annotated[datetime, member("when the certificate ends")]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """`cji provider show`: an attestation provider."""

    issuer: Annotated[str, member("the issuer, as tokens name it")]
    keys: Annotated[tuple[TokenKey, ...], member("objects of the kind TokenKey")]


class PolicyInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in force."""

    policy_hash: Annotated[str, member("x-ms-policy-hash, base64url")]
    signed: Annotated[bool, member("whether the provider's policy signer signed it")]


class PoliciesInForce(msgspec.Struct, frozen=True, kw_only=True):
    """`cji provider policy show`: the policies of an attestation provider."""

    policies: Annotated[
        dict[str, PolicyInForce | None], member("PolicyInForce by attestation type; null where none is set")
    ]
    weaknesses: Annotated[
        tuple[str, ...], member("ids of the rules of docs/release-policy.md that AzureGuest's breaks")
    ]


@click.group()
def provider() -> None:
    """Inspect an attestation provider, and maintain its policies."""


@provider.command()
@click.argument("url")
@_CLOUD
@answers(Provider)
@click.pass_context
def show(context: click.Context, url: str, cloud: str, *, as_json: bool) -> None:
    """Print the issuer and the keys that the provider at URL signs tokens with, with their digests for `maa_keys`.

    \b
    Example:
      cji provider show https://agency.eus2.attest.azure.net
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_attestation.provider_policy.provider import describe_provider  # noqa: PLC0415 - the SDK takes a second to import

    try:
        found = describe_provider(trust=trust_named(context, cloud), maa_url=url)
    except AttestationError as error:
        raise _failure(error) from error
    lines = [f"issuer  {found.issuer}"]
    for key in found.keys:
        kind = "self-signed" if key.self_signed else "below a CA"
        lines.append(f"key     {_plain(key.kid)}  {kind}, until {key.until:%Y-%m-%d}, {_plain(key.subject)}")
        lines.append(f"        SHA-256 {key.spki_sha256}")
    keys = tuple(TokenKey(**msgspec.structs.asdict(key)) for key in found.keys)
    print_answer(Provider(issuer=found.issuer, keys=keys), "\n".join(lines), as_json=as_json)


@provider.group()
def policy() -> None:
    """Read or set the policies of a provider; `cji policy` writes and checks the texts."""


@policy.command("show")
@click.argument("url")
@click.option("--expect", type=FILE, help="The policy that AzureGuest should have; exit status 3 if it differs.")
@click.option("--text", is_flag=True, help="Print the policy of AzureGuest, and nothing else.")
@_CLOUD
@answers(PoliciesInForce)
@click.pass_context
def show_policy(
    context: click.Context, url: str, *, expect: Path | None, text: bool, cloud: str, as_json: bool
) -> None:
    """Print the x-ms-policy-hash of the policy in force for each attestation type, and the weaknesses of the worker's.

    \b
    Examples:
      cji provider policy show https://agency.eus2.attest.azure.net --expect deploy/policy/attestation-policy.txt
      cji provider policy show URL --text | cji policy lint --for maa -
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_attestation.provider_policy import policy_hash  # noqa: PLC0415
    from cji_attestation.provider_policy.administration import KINDS, operator_credential, read_policy  # noqa: PLC0415

    trust, credential = trust_named(context, cloud), operator_credential()
    kinds = ("AzureGuest",) if text else KINDS
    try:
        found = {
            kind: read_policy(kind, trust=trust, maa_url=url, credential=credential, now=time.time()) for kind in kinds
        }
    except AttestationError as error:
        raise _failure(error) from error
    guest = found["AzureGuest"]
    if text:
        click.echo(b"" if guest is None else guest.text, nl=False)
    else:
        weak = _weak(b"" if guest is None else guest.text)
        policies: dict[str, PolicyInForce | None] = {
            kind: None if one is None else PolicyInForce(policy_hash=one.hash, signed=one.signed)
            for kind, one in found.items()
        }
        lines = [f"{kind:11} {_named(one)}" for kind, one in policies.items()]
        lines.append(f"{'weak':11} {', '.join(weak) or 'nothing found'}")
        print_answer(PoliciesInForce(policies=policies, weaknesses=weak), "\n".join(lines), as_json=as_json)
    if expect is not None and (guest is None or guest.text != expect.read_bytes()):
        wanted = policy_hash(expect.read_bytes())
        raise Failure(
            f"the policy in force is not {expect.name} ({wanted})",
            remedy="Investigate the change, or set the expected policy.",
            status=3,
        )


@policy.command("set")
@click.argument("url")
@click.argument("file", type=FILE)
@click.option("--signing-key", type=FILE, help="PEM of the RSA key of the provider's policy signer.")
@click.option("--certificate", type=FILE, help="PEM of its certificate.")
@_CLOUD
@answers(PolicyHash)
@click.pass_context
def set_policy(
    context: click.Context,
    url: str,
    file: Path,
    *,
    signing_key: Path | None,
    certificate: Path | None,
    cloud: str,
    as_json: bool,
) -> None:
    """Set FILE as the policy of AzureGuest, the type of the worker's tokens, and print its x-ms-policy-hash.

    A policy with an error of `cji policy lint --for maa` is not sent.

    \b
    Example:
      cji provider policy set https://agency.eus2.attest.azure.net deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_attestation.provider_policy.administration import PolicySigner, operator_credential, write_policy  # noqa: PLC0415

    if (signing_key is None) != (certificate is None):
        raise Failure("a signer is a key and its certificate", remedy="Give both, or neither.", status=2)
    text = file.read_bytes()
    if weak := _weak(text, errors_only=True):
        raise Failure(f"not sent: {', '.join(weak)}", remedy="`cji policy lint --for maa` explains it.", status=2)
    trust = trust_named(context, cloud)
    try:
        signer = None
        if signing_key is not None and certificate is not None:
            signer = PolicySigner.load(
                signing_key.read_bytes(), certificate.read_bytes(), passphrase=passphrase_for(signing_key)
            )
        taken = write_policy(
            "AzureGuest",
            text,
            trust=trust,
            maa_url=url,
            credential=operator_credential(),
            signer=signer,
            now=time.time(),
        )
    except AttestationError as error:
        raise _failure(error) from error
    print_answer(PolicyHash(policy_hash=taken.hash), taken.hash, as_json=as_json)


def _named(one: PolicyInForce | None) -> str:
    return "none" if one is None else f"{one.policy_hash}  {'signed' if one.signed else 'not signed'}"


def _weak(text: bytes, *, errors_only: bool = False) -> tuple[str, ...]:
    """The rules that a policy breaks, or the one that makes it no policy."""
    from cji_attestation.provider_policy import MaaPolicyError, lint, parse_policy  # noqa: PLC0415

    try:
        findings = lint(parse_policy(text))
    except MaaPolicyError as error:
        return (error.check,)
    return tuple(dict.fromkeys(one.rule.id for one in findings if not errors_only or one.rule.severity == "error"))


def _plain(text: str) -> str:
    """Escape foreign text, so that it cannot move the cursor."""
    return json.dumps(text)[1:-1]


def _failure(error: AttestationError) -> Failure:
    return Failure(
        f"{error.fault.value} at {error.check}",
        remedy=_REMEDIES.get(error.fault, error.remedy),
        status=_STATUS.get(error.fault, 1),
    )
