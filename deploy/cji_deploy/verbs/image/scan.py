"""`cji image scan`: an image's bill of materials against a list of vulnerabilities, without a network."""

from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_core.command.common import FILE
from cji_core.command.json_output import answers, member, print_document
from cji_deploy.image.vulnerabilities import Found, components, explained, scan, vulnerabilities

_PLACES = click.Path(exists=True, path_type=Path)


class Vulnerability(msgspec.Struct, frozen=True, kw_only=True):
    """A vulnerability of a component of the image."""

    id: Annotated[str, member("its id in the list")]
    aliases: Annotated[tuple[str, ...], member("its other names")]
    component: Annotated[str, member("package URL")]
    summary: Annotated[str, member("one line about it; may be empty")]
    fixed_in: Annotated[tuple[str, ...], member("later versions without it")]
    status: Annotated[str, member("of the statement about it; empty without one")]
    reason: Annotated[str, member("of the statement about it")]
    open: Annotated[bool, member("whether no statement closes it")]


@click.command("scan")
@click.argument("sbom", type=FILE)
@click.option(
    "--osv", "lists", type=_PLACES, multiple=True, required=True, help="File, folder or archive of OSV records."
)
@click.option("--vex", type=FILE, help="OpenVEX document: what was found out.")
@answers(Vulnerability, listed=True)
@click.pass_context
def scan_command(
    context: click.Context, sbom: Path, *, lists: tuple[Path, ...], vex: Path | None, as_json: bool
) -> None:
    """List the known vulnerabilities of the image whose bill of materials is SBOM.

    Nothing is fetched: the list is given as files in the OSV format, as osv.dev exports it for an ecosystem, and must
    have Debian's and PyPI's. A statement `not_affected` or `fixed` of the OpenVEX document closes a vulnerability; it
    names it by its id or another name, and the component by its package URL, with or without version. The exit status
    is 1 if one is open.

    \b
    Examples:
      cji image scan sbom.cdx.json --osv Debian.zip --osv PyPI.zip
      cji image scan sbom.cdx.json --osv lists/ --vex deploy/image/vex.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    parts = components(sbom.read_bytes())
    found = scan(parts, vulnerabilities(list(lists)))
    if vex is not None:
        found = explained(found, vex.read_bytes())
    count = sum(one.open for one in found)
    if as_json:
        print_document([_document(one) for one in found], indent=2)
    else:
        for one in found:
            click.echo(_line(one))
        click.echo(f"{len(parts)} components, {len(found)} vulnerabilities, {count} of them open")
    if count:
        context.exit(1)


def _document(one: Found) -> dict[str, object]:
    return {
        "id": one.id,
        "aliases": one.aliases,
        "component": one.component.purl,
        "summary": one.summary,
        "fixed_in": one.fixed_in,
        "status": one.status,
        "reason": one.reason,
        "open": one.open,
    }


def _line(one: Found) -> str:
    names = ", ".join((one.id, *one.aliases))
    fix = f"fixed in {', '.join(one.fixed_in)}" if one.fixed_in else "no version without it is known"
    said = f"; {one.status}: {one.reason}" if one.status else ""
    return f"{one.component.name} {one.component.version}: {names}; {fix}{said}"
