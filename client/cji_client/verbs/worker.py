"""`cji worker`: what a worker says of itself, and what its evidence shows."""

from pathlib import Path
from typing import Final

import click

from cji_attestation.attested import AttestedWorker
from cji_attestation.verbs.trusts import trust_named
from cji_client.connection import connect
from cji_client.description import Description
from cji_client.errors import SpecError, Unverified
from cji_client.profile import load_profile
from cji_client.verbs.answers import Attested, Described, OfferedKey
from cji_client.verbs.job.prepare import PROFILE
from cji_core.command.common import explained
from cji_core.command.json_output import answers, print_json
from cji_core.format.keys import write_public
from cji_core.jose import key_id, parse_ml_kem, parse_rsa


@click.group()
def worker() -> None:
    """Look at a worker before a job is sent to it."""


_JWK: Final = click.Path(dir_okay=False, path_type=Path)


@worker.command()
@PROFILE
@click.option("--kek", type=_JWK, help="Write the public key into this new file, a JWK.")
@click.option("--ml-kem", type=_JWK, help="Write its ML-KEM half into this new file, for jobs of hybrid-1.")
@click.option("--kek-id", help="The key to write, if the worker offers several.")
@answers(Described)
@click.pass_context
@explained
def describe(
    context: click.Context,
    *,
    profile_file: Path,
    kek: Path | None,
    ml_kem: Path | None,
    kek_id: str | None,
    as_json: bool,
) -> None:
    """Show the operations, limits and public keys of the profile's worker. Nothing of it is trusted.

    A thumbprint belongs into a job spec only if it came from the worker's operator by another way. The files of --kek
    and --ml-kem serve `cji columns rewrap`, and `kek_jwk` and `ml_kem_jwk` of a profile, which compare thumbprints.

    \b
    Examples:
      cji worker describe --profile client.toml
      cji worker describe --profile client.toml --kek worker.jwk
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
    _save_keys(found, kek_id, kek, ml_kem)
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


def _save_keys(found: Description, kek_id: str | None, kek: Path | None, ml_kem: Path | None) -> None:
    """Write the halves that have a file. The JWKs are valid, and not compared with anything."""
    offered = [jwks for name, jwks in found.keys.items() if kek_id in (None, name)]
    for option, path, half in (("--kek", kek, 0), ("--ml-kem", ml_kem, 1)):
        if path is None:
            continue
        if len(offered) != 1:
            remedy = f"Name one of them with --kek-id: {', '.join(map(_printable, found.keys))}."
            raise SpecError(f"{option}: the worker offers {len(offered)} such keys", remedy=remedy)
        if not (jwk := offered[0][half]):
            raise SpecError(f"{option}: the key has no ML-KEM half", remedy="Use it for jobs of classical-1 only.")
        write_public(path, jwk.encode() + b"\n")


def _write(path: Path, found: AttestedWorker) -> None:
    try:
        with path.open("xb") as file:
            file.write(found.to_file())
    except OSError as error:
        raise SpecError(f"{path} cannot be written ({error.strerror})", remedy="Name a new file.") from None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
