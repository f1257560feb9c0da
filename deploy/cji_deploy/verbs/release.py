"""`cji release publish` and `withdraw`: the statements of a publisher, and their way into the log of releases."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import click
import msgspec

from cji_attestation.verbs.bundles import refusals
from cji_attestation.verbs.releases import CA, COPY, ENTRY, POLICY, fetched, release_faults
from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_answer
from cji_core.tlog.calls import log_client, state
from cji_core.tlog.leaves import (
    Decision,
    LeafError,
    StatementLeaf,
    Withdrawal,
    decision_sha384,
    decode_leaf,
    encode_leaf,
    sign_decision,
    verify_decision,
)
from cji_core.tlog.policy import Policy, load_policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.releases import MAX_COPY_BYTES, ReleaseLogError, read_releases
from cji_core.tlog.submissions import Added, read_token
from cji_core.trail.fields import utc_hundredths
from cji_deploy.image.signature import SignatureError
from cji_deploy.release.folder import ReleaseFolderError, release_of
from cji_deploy.verbs.signers import TOKEN, VAULT, signer

_PENDING: Final = "release.statement"
_CAUSES: Final = "docs/releases.md lists the causes; HTTP 403 is of another token than the log's reader_token_file."
_UNSETTLED: Final = "witness-refused"
_TOKEN_FILE: Final = click.option(
    "--token-file", type=FILE, required=True, help="The file with the publisher's token, the log's reader_token_file."
)
_KEY: Final = click.option("--key", "key_file", type=FILE, help="Your P-384 key, `publishers` of the policy has it.")
_FLAVOURS: Final = click.Choice(["production", "debug", "engine"])
F = TypeVar("F", bound=Callable[..., Any])


class PublishedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """`cji release publish` and `withdraw`: a statement that is in the log, under a quorum."""

    release: Annotated[str, member("product, version, flavour and platform")]
    index: Annotated[int, member("the entry of the log")]
    file: Annotated[str, member("the copy of the log with it")]


def _by_publisher(command: F) -> F:
    """The options of a statement: the log, the key, and the token."""
    for option in reversed((POLICY, _TOKEN_FILE, _KEY, VAULT, TOKEN, CA)):
        command = option(command)
    return command


@click.command("publish")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--flavour", type=_FLAVOURS, default="production", show_default=True, help="Of its image.")
@click.option("--platform", default="azure-cvm", show_default=True, help="Where its image boots.")
@_by_publisher
@answers(PublishedRelease)
@refusals
@release_faults
def publish(folder: Path, *, flavour: str, platform: str, policy_file: Path, as_json: bool, **by: Any) -> None:
    """Sign the statement about the release in FOLDER, put it into the log, and keep its proof in FOLDER.

    FOLDER is what `make release` wrote. The statement has every digest of it, and the boot and the bundle keys of its
    image. Then release.json has the entry with its proof, and releases.json a copy of the whole log. An attempt that
    was interrupted, or had no quorum, is continued with the same statement.

    \b
    Example:
      cji release publish cji-worker-0.2.0 --policy release-policy.toml --key release.key --token-file publisher.token
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    policy = load_policy(policy_file)
    pending = folder / _PENDING
    if pending.exists():
        leaf = _kept(pending)
    else:
        try:
            release = release_of(folder, origin=policy.file.origin, flavour=flavour, platform=platform)
        except (ReleaseFolderError, SignatureError) as error:
            raise Failure(str(error), remedy=error.remedy, status=2) from error
        leaf = _signed(policy, release, by)
        pending.write_bytes(encode_leaf(leaf))
    added = _stated(policy, leaf, by)
    (folder / ENTRY).write_bytes(msgspec.json.encode(added))
    _print(policy, added, folder / COPY, by, of=decision_sha384(leaf.decision), as_json=as_json)
    pending.unlink()


@click.command("withdraw")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.argument("name")
@click.option("--explanation", required=True, help="Why; the log keeps it, and every refusal shows it.")
@_by_publisher
@answers(PublishedRelease)
@refusals
@release_faults
def withdraw(file: Path, name: str, *, explanation: str, policy_file: Path, as_json: bool, **by: Any) -> None:
    """Withdraw the release NAME, as `cji release list` prints it: no reader of the log accepts it any more.

    FILE is your copy of the log, which is fetched again afterwards. A withdrawal is final; release another version.

    \b
    Example:
      cji release withdraw releases.json "cji-worker 0.2.0 production azure-cvm" --explanation "CVE-2026-1" \\
        --policy release-policy.toml --key release.key --token-file publisher.token
    """  # noqa: D301 - as above
    policy = load_policy(policy_file)
    with file.open("rb") as copy:
        known = read_releases(copy.read(MAX_COPY_BYTES + 1), policy, now=None)
    found = {each.release.name: each for each in known.releases.all()}.get(name)
    if found is None or found.withdrawn is not None:
        what = "is in the log" if found is None else "is in force"
        raise Failure(f"no release {name} {what}", remedy="Copy a name from `cji release list`.", status=2)
    decision = Withdrawal(
        origin=policy.file.origin,
        release_sha384=found.sha384,
        explanation=explanation,
        time=utc_hundredths(datetime.now(UTC)),
    )
    added = _stated(policy, _signed(policy, decision, by), by)
    _print(policy, added, file, by, of=found.sha384, as_json=as_json)


def _kept(pending: Path) -> StatementLeaf:
    """The statement of an attempt before. Raises LeafError."""
    leaf = decode_leaf(pending.read_bytes())
    if not isinstance(leaf, StatementLeaf):
        raise LeafError("form", f"{pending} is not a statement")
    return leaf


def _signed(policy: Policy, decision: Decision, by: dict[str, Any]) -> StatementLeaf:
    """The statement, by a key that the policy names. Raises LeafError for another key."""
    leaf = sign_decision(decision, signer(by["key_file"], by["vault_key"], by["pkcs11_file"]).es384)
    verify_decision(leaf, policy.publishers)
    return leaf


def _stated(policy: Policy, leaf: StatementLeaf, by: dict[str, Any]) -> Added:
    client = log_client(None if by["ca_file"] is None else str(by["ca_file"]))
    try:
        return state(client, policy, read_token(by["token_file"]), leaf)
    except LeafError as error:
        if error.cause != _UNSETTLED:
            raise Failure(f"refused: {error}", remedy=_CAUSES, status=3) from error
        remedy = "Run it again once the witnesses answer: the statement is in the log and continues from there."
        raise Failure(f"the log has no quorum yet: {error}", remedy=remedy, status=4) from error


def _print(policy: Policy, added: Added, copy: Path, by: dict[str, Any], *, of: str, as_json: bool) -> None:
    known = fetched(policy, copy, None if by["ca_file"] is None else str(by["ca_file"]))
    found, index = known.releases.by_digest(of), parse_proof(added.proof.encode()).index
    if found is None:
        raise ReleaseLogError("the log does not show the statement that it took")
    answer = PublishedRelease(release=found.release.name, index=index, file=str(copy))
    print_answer(answer, f"entry {index}: {found}; {copy} has the log", as_json=as_json)
