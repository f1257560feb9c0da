"""`cji crl`: fetch AMD's revocation lists, for the machines of an operator that may reach AMD."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import click
import msgspec

from cji_attestation import AttestationError, Trust
from cji_attestation.appraisal import Product
from cji_attestation.appraisal.crl import MAX_AGE_DAYS, Crl, read_published
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import Failure
from cji_core.command.json_output import answers, member, print_json

_CLOUD: Final = click.option("--cloud", default="azure-us", show_default=True, help="The cloud whose AMD roots apply.")


class FetchedList(msgspec.Struct, frozen=True, kw_only=True):
    """One verified list in a file."""

    product: Annotated[str, member("the processors that it is for")]
    file: Annotated[str, member("its file")]
    updated: Annotated[datetime, member("when AMD made it")]
    ends: Annotated[datetime | None, member("when AMD will make the next one; null if it does not say")]
    revoked: Annotated[int, member("number of revoked certificates")]


class FetchedLists(msgspec.Struct, frozen=True, kw_only=True):
    """`cji crl fetch`: AMD's revocation lists."""

    lists: Annotated[tuple[FetchedList, ...], member("objects of the kind FetchedList, in the order of the products")]


@click.group()
def crl() -> None:
    """Fetch AMD's certificate revocation lists."""


@crl.command()
@click.argument("products", type=click.Choice(get_args(Product)), nargs=-1, required=True, metavar="PRODUCT...")
@click.option(
    "--out", type=click.Path(file_okay=False, exists=True, path_type=Path), default=".", help="Folder for the files."
)
@_CLOUD
@answers(FetchedLists)
@click.pass_context
def fetch(context: click.Context, products: tuple[str, ...], *, out: Path, cloud: str, as_json: bool) -> None:
    """Fetch the CRL of each PRODUCT from kdsintf.amd.com, verify it and write it to PRODUCT.crl.

    Only a list that AMD's pinned root signed, that is in force and not older than the one it replaces is written. Name
    the files in `amd_crls`. Run it from a timer: it is the only command for CRLs that uses a network.

    \b
    Example:
      cji crl fetch Genoa Turin --out /etc/cji/crl
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    trust, lists = trust_named(context, cloud), list[FetchedList]()
    for product in products:
        path = out / f"{product}.crl"
        data, found = _fetched(trust, cast("Product", product), path)
        _replace(path, data)
        lists.append(
            FetchedList(
                product=product, file=str(path), updated=found.updated, ends=found.ends, revoked=len(found.revoked)
            )
        )
        if not as_json:
            until = f"{found.ends:%Y-%m-%d}" if found.ends else "?"
            click.echo(f"{path}  {found.updated:%Y-%m-%d} to {until}, {len(found.revoked)} revoked")
    if as_json:
        print_json(FetchedLists(lists=tuple(lists)))


def _fetched(trust: Trust, product: Product, path: Path) -> tuple[bytes, Crl]:
    """The list, better than what `path` has; Failure 3 for one that is not AMD's, not current, or older."""

    def read(data: bytes) -> Crl:
        return read_published(published.chain, data, product=product, roots=trust.amd_roots)

    try:
        published = fetch_crl(trust, product)
    except AttestationError as error:
        raise Failure(f"{product}: {error.fault.value} at {error.check}", remedy=error.remedy, status=4) from error
    try:
        found = read(published.crl)
        if reason := found.not_current(datetime.now(UTC), max_age_days=MAX_AGE_DAYS):
            raise ValueError(reason)
        if path.exists() and (kept := read(path.read_bytes()).updated) > found.updated:
            raise ValueError(f"of {found.updated}, older than {path}, which is of {kept}")
    except ValueError as error:
        remedy = (
            "Check the clock, and remove the file in --out if it is not a CRL. Do not use the list that was fetched."
        )
        raise Failure(f"{product}: {error}", remedy=remedy, status=3) from error
    return published.crl, found


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all: a worker that starts meanwhile reads the old list or the new one."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be written ({error.strerror})", remedy="Choose another --out.", status=2
        ) from error
