"""`cji evidence reference-values`: what a CoRIM states, as reference values to review and pin."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AttestationError
from cji_attestation.appraisal.corim import CorimValues, read_corim
from cji_attestation.verbs.evidence_options import AT, time_of
from cji_core.certs import CertificateRefused, load_ec_public_key
from cji_core.command.common import FILE, Failure

_TABLES: Final = ("id_keys", "mrtds")
_LISTS: Final = ("measurements", "tcb_statuses")


@click.command("reference-values")
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, help="PEM of the public key that signed FILE; without it, FILE has no signature.")
@AT
def reference_values_of(file: Path, *, key: Path | None, at: str | None) -> None:
    """Print what the CoRIM in FILE states about SEV-SNP or TDX as reference values, each with its source.

    Read are AMD's and Intel's profiles, unsigned or signed with ES256 or ES384, in force now or at --at. What is not
    understood is refused by its name; what no reference value can hold is named in a comment. Review the values: they
    are the publisher's word.

    \b
    Examples:
      cji evidence reference-values paravisor.corim --key publisher.pem
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    signer = None if key is None else _public_key(key)
    try:
        found = read_corim(file.read_bytes(), key=signer, now=time_of(at) or datetime.now(UTC))
    except AttestationError as error:
        said = json.dumps(error.failures[0].found)[1:-1]  # what a stranger wrote must not move the cursor
        message = f"{file.name}: refused at {error.check}" + (f": {said}" if said else "")
        raise Failure(message, remedy=error.remedy, status=3) from error
    click.echo("\n".join(_lines(found)))


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        return load_ec_public_key(path.read_bytes())
    except CertificateRefused as error:
        remedy = "Give the PEM of a P-256 or P-384 key."
        raise Failure(f"{path.name} has no public key", remedy=remedy, status=2) from error


def _lines(found: CorimValues) -> Iterator[str]:
    signed = (
        f"signed by {_quoted(found.signer)}" if found.signer else "NOT SIGNED: compare its SHA-384 with the publisher's"
    )
    yield f"# CoRIM {_quoted(found.id)}, profile {_quoted(found.profile)}, {signed}"
    yield f"# SHA-384 {found.sha384.hex()}" + (f", in force until {found.ends}" if found.ends else "")
    if found.left_out:
        yield f"# stated, but no reference value holds it: {', '.join(found.left_out)}"
    yield "[attestation.reference_values]  # in client.toml: [reference]"
    for name in _LISTS:
        if values := getattr(found, name):
            yield f"{name} = {_value(list(values))}"
    if found.tcb_evaluation is not None:
        yield f"tcb_evaluation = {found.tcb_evaluation}"
    for name in _TABLES:
        for entry in msgspec.to_builtins(getattr(found, name), builtin_types=(date,)):
            yield f"[[attestation.reference_values.{name}]]  # in client.toml: [[reference.{name}]]"
            yield from (f"{key} = {_value(value)}" for key, value in entry.items())
    for stepping, floor in found.floors.items():
        yield f"[attestation.reference_values.floors.{stepping}]  # in client.toml: [reference.floors.{stepping}]"
        yield from (f"{key} = {value}" for key, value in msgspec.structs.asdict(floor).items())


def _quoted(text: str) -> str:
    return json.dumps(text)[1:-1]


def _value(value: Any) -> str:
    """TOML on one line; JSON's strings are TOML's."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
