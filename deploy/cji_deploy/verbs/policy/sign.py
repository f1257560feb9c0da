"""`cji policy sign` and `signer`: signatures beside a policy file, and the keys that a worker accepts them from."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.command.common import FILE, Failure, explained, passphrase_for
from cji_core.command.json_output import answers, member, print_answer
from cji_core.format.configuration.operator_files import FileRefused, read_file, signatures_path
from cji_core.format.job.policy.signatures import MAX_SIGNATURES, SignaturesInvalid, digest, read_signatures
from cji_core.format.job.policy.signatures import sign as signature_of
from cji_core.format.keys import load_signing_key
from cji_core.jose import key_id
from cji_deploy.verbs.policy.worker_policies import policy_at
from cji_deploy.verbs.public_half import PublicHalf, print_public_half


class SignedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`cji policy sign`: the signatures on a policy."""

    file: Annotated[str, member("file of the signatures")]
    policy_sha384: Annotated[str, member("SHA-384 of the policy, hexadecimal, as receipts name it")]
    signatures: Annotated[int, member("number of signatures on this policy")]
    key: Annotated[str, member("thumbprint of your key")]


@click.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", type=FILE, required=True, help="P-384 key of the signer, `cji key new-signing`.")
@answers(SignedPolicy)
@explained
def sign(file: Path, *, key_file: Path, as_json: bool) -> None:
    """Sign the policy of a worker in FILE as it is now, in FILE.signatures.

    Signatures of others on the same bytes are kept; those on an earlier version of FILE are removed. Read what you
    sign first: `cji policy diff` shows what changes.

    \b
    Example:
      cji policy sign policy.toml --key alice.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    data, policy = policy_at(file)
    key = _signing_key(key_file)
    target = Path(signatures_path(str(file)))
    thumbprint, kept = key_id(key.public_key()), dict[str, str]()
    try:
        if target.exists():
            wanted = digest(data)
            for each in read_signatures(read_file("policy_signatures", str(target))):
                if each.policy_sha384 == wanted and each.kid != thumbprint:
                    kept[each.kid] = each.compact
    except SignaturesInvalid as error:
        remedy = "Move the file away, and have everybody sign again."
        raise Failure(f"{target}: {error.where}", remedy=remedy, status=2) from error
    except FileRefused as error:
        raise Failure(f"{target}: {error.what}", remedy=error.remedy, status=2) from error
    lines = [*kept.values(), signature_of(data, key, now=datetime.now(UTC))]
    if len(lines) > MAX_SIGNATURES:
        raise Failure(f"{target} has {MAX_SIGNATURES} signatures already", remedy="", status=2)
    _replace(target, "".join(f"{line}\n" for line in lines))
    answer = SignedPolicy(file=str(target), policy_sha384=policy.sha384.hex(), signatures=len(lines), key=thumbprint)
    text = f"{target}: {len(lines)} signature{'' if len(lines) == 1 else 's'} on this policy, yours is {thumbprint}"
    print_answer(answer, text, as_json=as_json)


@click.command()
@click.argument("key_file", metavar="KEY", type=FILE)
@answers(PublicHalf)
@explained
def signer(key_file: Path, *, as_json: bool) -> None:
    """Print the public half of KEY as a configuration lists it under `policy_signers`.

    \b
    Example:
      cji policy signer alice.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    print_public_half(_signing_key(key_file).public_key(), as_json=as_json)


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_signing_key(path, passphrase=passphrase_for(path))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        remedy = "Make one with `cji key new-signing`, without --hybrid."
        raise Failure(f"{path} is a pair of keys", remedy=remedy, status=2)
    return key


def _replace(path: Path, text: str) -> None:
    """Put a new file in the place of the old one, so that a worker reads one of them whole."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text)
        os.replace(new, path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be written: {error.strerror}", remedy="Choose another folder.", status=2
        ) from error
