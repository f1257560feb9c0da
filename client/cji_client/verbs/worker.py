"""`cji worker`: what a worker says of itself, and what its evidence shows."""

from pathlib import Path

import click

from cji_attestation.attested import AttestedWorker
from cji_attestation.verbs.trusts import trust_named
from cji_client.connection import connect
from cji_client.errors import SpecError, Unverified
from cji_client.profile import load_profile
from cji_client.verbs.answers import Attested, Described, OfferedKey
from cji_client.verbs.job.prepare import PROFILE
from cji_core.command.common import explained
from cji_core.command.json_output import answers, print_json
from cji_core.jose import key_id, parse_ml_kem, parse_rsa


@click.group()
def worker() -> None:
    """Look at a worker before a job is sent to it."""


@worker.command()
@PROFILE
@answers(Described)
@click.pass_context
@explained
def describe(context: click.Context, *, profile_file: Path, as_json: bool) -> None:
    """Show the operations, limits and public keys of the profile's worker. Nothing of it is trusted.

    A thumbprint belongs into a job spec only if it came from the worker's operator by another way.

    \b
    Example:
      cji worker describe --profile client.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    with connect(profile, trusts=[trust_named(context, profile.cloud)]) as connection:
        found = connection.describe()
    keys = tuple(_offered(kek_id, jwk, ml_kem) for kek_id, (jwk, ml_kem) in found.keys.items())
    answer = Described(
        audience=found.audience,
        worker=found.worker_id,
        operations=found.operations,
        schemas=found.schemas,
        keys=keys,
        limits={field.name: value for field, value in found.limits.ListFields()},
    )
    if as_json:
        print_json(answer)
        return
    click.echo(f"worker      {_printable(answer.worker)}, audience {_printable(answer.audience)}")
    click.echo(f"operations  {_printable(', '.join(answer.operations))}")
    click.echo(f"schemas     {_printable(', '.join(answer.schemas))}")
    for key in keys:
        click.echo(f"key         {_printable(key.kek_id)}\n            thumbprint {key.thumbprint}")
        if key.ml_kem_thumbprint:
            click.echo(f"            ML-KEM thumbprint {key.ml_kem_thumbprint}")


@worker.command()
@PROFILE
@click.option("--evidence", type=click.Path(path_type=Path), help="Write the evidence into this new file.")
@answers(Attested)
@click.pass_context
@explained
def attest(context: click.Context, *, profile_file: Path, evidence: Path | None, as_json: bool) -> None:
    """Require fresh evidence of the profile's worker, and appraise it as before a job. Exit status 3: it was refused.

    \b
    Examples:
      cji worker attest --profile client.toml
      cji worker attest --profile client.toml --evidence evidence.json     # for `cji evidence verify`
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    with connect(profile, trusts=[trust_named(context, profile.cloud)]) as connection:
        found = connection.attest()
    if evidence is not None:
        _write(evidence, found)
    skipped = {check.id for check in found.unchecked}
    answer = Attested(
        tee=found.verdict.tee,
        product=found.verdict.product,
        cloud=found.cloud,
        simulated=found.simulated,
        attested_at=found.attested_at.isoformat(),
        receipt_jwk=found.receipt_jwk,
        maa_token_sha384=found.maa_token_sha384,
        checks={check.id: check.finding for check in found.checks if check.id not in skipped},
        not_checked={check.id: check.finding for check in found.unchecked},
    )
    if as_json:
        print_json(answer)
        return
    kind = ", SIMULATED" if answer.simulated else ""
    click.echo(f"attested: {answer.tee} {answer.product}, roots of {answer.cloud}{kind}; {len(answer.checks)} checks")
    for id_, finding in answer.not_checked.items():
        click.echo(f"  not checked: {id_} {_printable(finding)}")


def _offered(kek_id: str, jwk: str, ml_kem: str) -> OfferedKey:
    try:
        half = key_id(parse_ml_kem(ml_kem)) if ml_kem else ""
        return OfferedKey(kek_id=kek_id, thumbprint=key_id(parse_rsa(jwk)), ml_kem_thumbprint=half)
    except ValueError:
        raise Unverified("kek", "the worker's public key is not valid") from None


def _write(path: Path, found: AttestedWorker) -> None:
    try:
        with path.open("xb") as file:
            file.write(found.to_file())
    except OSError as error:
        raise SpecError(f"{path} cannot be written ({error.strerror})", remedy="Name a new file.") from None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
