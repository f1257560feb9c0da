"""`cji bundle witnesses-lost`: another policy of the log where no quorum of the old witnesses answers any more."""

from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.bundle.signatures import WITNESSES_LOST
from cji_attestation.bundle.witnesses import Loss, sign_loss, stated_now
from cji_attestation.verbs.bundles import refusals
from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_answer
from cji_core.jose import key_id
from cji_core.tlog.policy import load_policy
from cji_deploy.verbs.signers import VAULT, signer


class StatedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """`cji bundle witnesses-lost`: the statement that was written."""

    file: Annotated[str, member("the new file, for the bundle's folder log/")]
    previous_sha384: Annotated[str, member("digest of the policy whose witnesses are lost, hexadecimal")]
    policy_sha384: Annotated[str, member("digest of the policy that follows, hexadecimal")]
    key: Annotated[str, member("thumbprint of your key, which the image must have as witnesses-lost.pem")]
    time: Annotated[str, member("its date")]


@click.command("witnesses-lost")
@click.option("--pool", required=True, help="The pool whose machines take it: `audience` of worker.toml.")
@click.option("--old", "old_file", type=FILE, required=True, help="The policy of the log that is in force.")
@click.option("--new", "new_file", type=FILE, required=True, help="The policy that follows.")
@click.option(
    "--key", "key_file", type=FILE, help=f"The P-384 key whose public half the image has as {WITNESSES_LOST}."
)
@VAULT
@click.option("--operator", required=True, help="Your name.")
@click.option("--explanation", required=True, help="Why; every reader of the bundle sees it.")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The new file, log/NAME.lost.json in the folder of the bundle.",
)
@answers(StatedLoss)
@refusals
def witnesses_lost(  # noqa: PLR0917 - click passes by name
    pool: str,
    old_file: Path,
    new_file: Path,
    key_file: Path | None,
    vault_key: str | None,
    operator: str,
    explanation: str,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """State that the log's old witnesses are lost, so that machines take a bundle with others.

    While a quorum of them answers, use `cji log change-policy` instead. The statement names pool and both policies, and
    is dated: a machine takes it once. A worker that starts under it shows it in its trail. Keep the key offline, with
    somebody who signs no bundles.

    \b
    Example:
      cji bundle witnesses-lost --pool pool-7 --old policy.toml --new config/log/policy.toml --key offline.key \\
        --operator jdoe --explanation "two agencies left, ticket 4711" -o config/log/1.lost.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    old, new, own = load_policy(old_file), load_policy(new_file), signer(key_file, vault_key)
    time = stated_now()
    statement = Loss(
        pool=pool,
        previous_sha384=old.digest,
        policy_sha384=new.digest,
        operator=operator,
        explanation=explanation,
        time=time,
    )
    data = sign_loss(statement, own)
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise Failure(f"{out} cannot be written", remedy="Name a new file.", status=2) from error
    found = StatedLoss(
        file=str(out),
        previous_sha384=old.digest,
        policy_sha384=new.digest,
        key=key_id(own.public_key()),
        time=time,
    )
    print_answer(found, f"{out}: stated at {time}, by the key {found.key}", as_json=as_json)
