"""`cji enroll`: certificates of machines' TLS doors, by their evidence instead of EST."""

import contextlib
import functools
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import click
import msgspec
from cryptography.x509 import Certificate

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.bundle.signatures import Signer
from cji_attestation.verbs.evidence_options import CLOUD
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.errors import StartupError
from cji_deploy.verbs.signers import TOKEN, VAULT, signer

if TYPE_CHECKING:
    from cji_deploy.approval import ApprovalFile, Outcome

_PAUSE_S: Final = 2.0
_MAX_AUTHORITY: Final = 1 << 20


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """A machine whose certificate was issued."""

    vm_id: Annotated[str, member("its vmId")]
    until: Annotated[datetime, member("when the certificate ends, ISO 8601")]


class RefusedMachine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine whose request was refused."""

    vm_id: Annotated[str, member("its vmId")]
    what: Annotated[str, member("why")]
    remedy: Annotated[str, member("what to do")]


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """`cji enroll approve`: what became of the requests."""

    issued: Annotated[tuple[Approved, ...], member("objects of the kind Approved")]
    refused: Annotated[tuple[RefusedMachine, ...], member("objects of the kind RefusedMachine")]


@click.command()
@click.option("--config", "config_file", type=FILE, required=True, help="approval.toml; see docs/bundle.md.")
@click.option("--key", "key_file", type=FILE, help="The authority's P-384 key.")
@VAULT
@TOKEN
@PROFILE
@CLOUD
@click.option("--wait", type=click.IntRange(0, 86_400), default=600, show_default=True, help="Seconds to look.")
@answers(Approvals)
@click.pass_context
@explained
def approve(  # noqa: PLR0917 - click passes by name
    context: click.Context,
    config_file: Path,
    key_file: Path | None,
    vault_key: str | None,
    pkcs11_file: Path | None,
    profile: Path | None,
    cloud: str,
    wait: int,
    *,
    as_json: bool,
) -> None:
    """Have the agency's authority certify the TLS keys of the machines in approval.toml that ask for it.

    Each machine answers a fresh challenge with evidence, which is appraised by the profile's reference values as a
    submitter's client does it, and with the word of its attested key for exactly this request. Names and lifetime are
    those of approval.toml. Ends when every machine has its certificate, or after --wait. Exit status 3 if one was
    refused. With your sign-in of the Azure CLI, which needs to read and write blobs in the container.

    \b
    Example:
      cji enroll approve --config approval.toml --profile client.toml --key door-ca.key
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_core.pool.errors import StoreError  # noqa: PLC0415 - Microsoft's clients take long to import
    from cji_deploy.approval import load_approval, require_image  # noqa: PLC0415

    try:
        file, reference = load_approval(config_file), reference_values(profile, None)
        require_image(reference)
        chain = load_pem_chain(Path(file.authority).read_bytes(), limit=_MAX_AUTHORITY)
        own = signer(key_file, vault_key, pkcs11_file)
        ended = _looked(file, chain, own, trust=trust_named(context, cloud), reference=reference, wait=wait)
    except (OSError, CertificateRefused) as error:
        remedy = "Put the certificate of the authority's key into it, then those above it, PEM."
        raise Failure("The file `authority` cannot be used", remedy=remedy, status=2) from error
    except StoreError as error:
        remedy = "Check `account`, your sign-in, and that you may read and write blobs in the container."
        raise Failure(f"The container of requests: {error}", remedy=remedy, status=4) from error
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=error.status) from error
    _report(ended, as_json=as_json)


def _looked(
    file: "ApprovalFile",
    chain: tuple[Certificate, ...],
    own: Signer,
    *,
    trust: Trust,
    reference: ReferenceValues,
    wait: int,
) -> "list[Outcome]":
    """The last outcome of each machine that was certified or refused."""
    from cji_core.pool.enrollment import Exchange  # noqa: PLC0415 - as above
    from cji_core.pool.store import Blobs  # noqa: PLC0415
    from cji_deploy.approval import Approver, Authority  # noqa: PLC0415
    from cji_deploy.vault_signer import own_sign_in  # noqa: PLC0415

    authority, ended = Authority(chain, own), dict[str, "Outcome"]()
    blobs = Blobs(file.account, file.container, credential=own_sign_in(), ca_file=file.ca_file)
    with contextlib.closing(blobs):
        approver = Approver(
            file=file,
            exchange=functools.partial(Exchange, blobs),
            authority=authority,
            trust=trust,
            reference=reference,
        )
        until = time.monotonic() + wait
        while True:
            ended |= {each.vm_id: each for each in approver.look() if each.state in {"issued", "refused"}}
            if len(ended) == len(file.machines) or time.monotonic() > until:
                return list(ended.values())
            time.sleep(_PAUSE_S)


def _report(ended: "list[Outcome]", *, as_json: bool) -> None:
    issued = tuple(Approved(vm_id=each.vm_id, until=each.until) for each in ended if each.until is not None)
    refused = tuple(
        RefusedMachine(vm_id=each.vm_id, what=each.what, remedy=each.remedy) for each in ended if each.until is None
    )
    if as_json:
        print_document(msgspec.to_builtins(Approvals(issued=issued, refused=refused)), indent=2)
    else:
        for one in issued:
            click.echo(f"{one.vm_id}: certified until {one.until:%Y-%m-%d %H:%M} UTC")
        for other in refused:
            click.echo(f"{other.vm_id}: refused. {other.what}. {other.remedy}")
        if not ended:
            click.echo("no machine of the list asked for a certificate")
    if refused:
        raise Failure(
            f"{len(refused)} of the requests refused",
            remedy="Read the reason of each; a machine that mends it asks again by itself.",
            status=3,
        )
