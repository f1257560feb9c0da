"""`cji audit packet`: make the packet for an auditor. `packet_verify` and `packet_stamp` have the other verbs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import click
import msgspec

from cji_attestation.verbs.reference_values import PROFILE
from cji_audit.packet.attachments import MAX_FILES, Attachments, Kind
from cji_audit.packet.catalog import MAX_BYTES as MAX_CATALOG
from cji_audit.packet.controls import controls
from cji_audit.packet.disposal import FILE as RETENTION
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import INDEX, files_of, write
from cji_audit.packet.inputs import MAX_BYTES
from cji_audit.packet.logged import newest_records
from cji_audit.packet.make import make
from cji_audit.packet.material import Period
from cji_audit.packet.report import checks_of
from cji_audit.packet.reviews import collected
from cji_audit.packet.rows import STATUSES, Row, rows
from cji_audit.retention import local_documents
from cji_audit.verbs.packet_stamp import stamp
from cji_audit.verbs.packet_tools import CLOUD, TRAIL, packet_refusals, tools_for
from cji_audit.verbs.packet_verify import verify
from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.json_output import answers, member, print_document

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])
_NAMES: Final = {"from": "first", "to": "last", "trail": "trails"}
_MAX_CONFIG: Final = 1 << 20
_MAX_MANIFEST: Final = 64 << 20


class MadePacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit packet`: a packet for an auditor."""

    folder: Annotated[str, member("its folder")]
    zip: Annotated[str, member("the same as one file")]
    packet_sha256: Annotated[str, member("SHA-256 of packet.json, hexadecimal")]
    rows: Annotated[
        dict[str, int],
        member("number of fragments by status: `met`, `partial`, `not met`, `gap`, `agency`, `provider`"),
    ]
    checks: Annotated[dict[str, str], member("outcome of each check by its name")]


@click.group(invoke_without_command=True)
@click.option("--from", "first", type=_DAY, help="First day of the period, UTC.")
@click.option("--to", "last", type=_DAY, help="Last day of the period, UTC.")
@TRAIL
@click.option("--catalog", type=FILE, help="Requirements Companion 6.1 as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; the ZIP is beside it.")
@click.option("--config", type=FILE, help="worker.toml of the worker.")
@click.option("--policy", type=FILE, help="The policy file in force.")
@click.option("--manifest", type=FILE, help="manifest.sha256 of the image.")
@click.option("--key", "keys", type=FILE, multiple=True, help="Output of `az keyvault key show`; may be given again.")
@click.option("--maa-policy", type=FILE, help="Policy of the attestation provider.")
@click.option("--evidence", type=FILE, multiple=True, help="evidence.json of a worker; may be given again.")
@click.option("--receipts", type=_FOLDER, help="Receipts that submitters kept, *.jws.")
@click.option("--confirmations", type=_FOLDER, help="Confirmations of their counts, *.jws.")
@click.option("--confirmation-key", "confirmation_keys", type=FILE, multiple=True, help="Public key of a confirmation.")
@click.option("--retention", type=_FOLDER, help="Copy of a pool's retention log, retention-log.")
@click.option("--retention-key", "retention_keys", type=FILE, multiple=True, help="Public key of its records.")
@click.option("--reviews", type=_FOLDER, help="Signed weekly reviews, also in folders of weeks.")
@click.option("--reviewer-key", "reviewer_keys", type=FILE, multiple=True, help="Public key of a reviewer.")
@click.option("--checkpoints", type=_FOLDER, help="Checkpoints that a witness kept.")
@click.option("--log", "logs", type=_FOLDER, multiple=True, help="The deliverer's state/log; one of each trail.")
@click.option("--receipt-key", "receipt_keys", type=FILE, multiple=True, help="Public receipt key without evidence.")
@click.option("--deployment", type=FILE, multiple=True, help="Export for `cji doctor --azure`; may be given again.")
@click.option("--agency", type=FILE, help="agency.toml: names and the provider's authorization, for OSCAL.")
@click.option("--sbom", type=FILE, help="CycloneDX bill of materials, JSON.")
@click.option("--tests", type=FILE, help="Test results, JUnit XML.")
@PROFILE
@CLOUD
@click.option("--docx/--no-docx", default=True, help="Write packet.docx too.")
@answers(MadePacket)
@click.pass_context
@explained
@packet_refusals
def packet(context: click.Context, /, **options: Any) -> None:
    """Make the packet for an auditor: every requirement, who acts, the evidence of a period, and the gaps.

    Writes a folder and a ZIP: pages for people, OSCAL, and everything that is needed to repeat the checks. What is
    not given becomes a gap that the packet names. Exit status 0 means that the packet was made, not that every
    requirement is met.

    \b
    Examples:
      cji audit packet --from 2026-10-01 --to 2026-12-31 --trail /var/lib/cji/audit.log --catalog cjis-v6.1.json \\
        --config /etc/cji/worker.toml --policy /etc/cji/policy.toml --evidence evidence.json --out q4
      cji audit packet verify q4.zip --signer agency.pub --receipt-key receipt-keys.jwk --reviewer jane.pub \\
        --tsa-root tsa.pem --trail audit.log
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if context.invoked_subcommand is not None:
        return
    absent = [f"--{name}" for name in ("from", "to", "trail", "catalog", "out") if not options[_NAMES.get(name, name)]]
    if absent:
        raise Failure(f"{', '.join(absent)} must be given", remedy="See `cji audit packet --help`.", status=2)
    catalog: Path = options["catalog"]
    config: Path | None = options["config"]
    content = make(
        period=_period(options["first"], options["last"]),
        trails=options["trails"],
        catalog=(catalog.name, _bytes(catalog, MAX_CATALOG)),
        attachments=_attachments(options),
        tools=tools_for(context, cloud=options["cloud"], profile=options["profile"]),
        configuration=None if config is None else (config.name, _bytes(config, _MAX_CONFIG), configuration(config)),
        policy=_named(options["policy"], _MAX_CONFIG),
        manifest=_named(options["manifest"], _MAX_MANIFEST),
    )
    made = files_of(content, with_docx=options["docx"])
    out: Path = options["out"]
    archive = write(made, out)
    found = rows(content.material, content.catalog, controls())
    _show(found, out, archive, made[INDEX], as_json=options["as_json"])


def _attachments(options: Mapping[str, Any]) -> Attachments:
    """The files that the packet passes on, by kind. A folder that was not named has no kind."""
    files: dict[Kind, dict[str, bytes]] = {
        "keys": _contents(options["keys"]),
        "maa_policy": _contents([each for each in [options["maa_policy"]] if each]),
        "sbom": _contents([each for each in [options["sbom"]] if each]),
        "tests": _contents([each for each in [options["tests"]] if each]),
        "machines": _contents(options["evidence"]),
        "deployment": _contents(options["deployment"]),
        "agency": _contents([each for each in [options["agency"]] if each]),
        "receipt_keys": _contents(options["receipt_keys"]),
        "confirmation_keys": _contents(options["confirmation_keys"]),
        "reviewer_keys": _contents(options["reviewer_keys"]),
        "retention_keys": _contents(options["retention_keys"]),
    }
    if options["receipts"] is not None:
        files["receipts"] = _contents(sorted(options["receipts"].glob("*.jws")))
    if options["confirmations"] is not None:
        files["confirmations"] = _contents(sorted(options["confirmations"].glob("*.jws")))
    if options["retention"] is not None:
        records = "".join(f"{each}\n" for each in local_documents(options["retention"]))
        files["retention"] = {RETENTION: records.encode("ascii")}
    if options["reviews"] is not None:
        files["reviews"] = _reviews(options["reviews"])
    if options["checkpoints"] is not None:
        files["checkpoints"] = _contents(sorted(each for each in options["checkpoints"].iterdir() if each.is_file()))
    if options["logs"]:
        files["log"] = newest_records(options["logs"])
    return Attachments(files=files)


def _period(first: datetime, last: datetime) -> Period:
    try:
        return Period(first=first.date(), last=last.date())
    except ValueError as error:
        raise PacketError(f"--from and --to: {error}", "Give the first and the last day.") from error


def _bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise PacketError(f"{path} is larger than {most >> 20} MiB", "Name the right file.")
    return data


def _contents(paths: Sequence[Path]) -> dict[str, bytes]:
    if len(paths) > MAX_FILES:
        raise PacketError(f"{paths[0].parent} has more than {MAX_FILES} files", "Give those of the period.")
    found = {path.name: _bytes(path, MAX_BYTES) for path in paths}
    if len(found) != len(paths):
        raise PacketError("Two files of one kind have the same name", "Rename one of them.")
    return found


def _reviews(folder: Path) -> dict[str, bytes]:
    """Signed reviews with their reports and pages, in the folder and in its folders."""
    return {name: _bytes(path, MAX_BYTES) for name, path in collected(folder).items()}


def _named(path: Path | None, most: int) -> tuple[str, bytes] | None:
    return None if path is None else (path.name, _bytes(path, most))


def _show(found: Sequence[Row], out: Path, archive: Path, index: bytes, *, as_json: bool) -> None:
    counts = Counter(row.status for row in found)
    checks = {name: result.status for name, result in checks_of(found).items()}
    digest = sha256(index).hexdigest()
    if as_json:
        statuses = {status: counts[status] for status in STATUSES}
        result = {"folder": str(out), "zip": str(archive), "packet_sha256": digest, "rows": statuses, "checks": checks}
        print_document(result)
        return
    click.echo(f"{out} and {archive}: {len(found)} fragments")
    for status in STATUSES:
        click.echo(f"{counts[status]:6}  {status}")
    for word, wanted in (("failed", "fails"), ("missing evidence", "missing")):
        names = [name for name, each in checks.items() if each == wanted]
        if names:
            click.echo(f"checks {word}: {', '.join(names)}")
    click.echo(f"SHA-256 of {INDEX}: {digest}\nKeep this digest where the packet's maker cannot change it.")


packet.add_command(verify)
packet.add_command(stamp)
