"""`cji audit packet`: make the packet for an auditor, and verify one."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec

import click
import msgspec

from cji_attestation.attested import evidence_cloud, read_evidence
from cji_attestation.checks import Skipped
from cji_attestation.findings import Finding, Rule
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_audit.packet.attachments import MAX_FILES, Attachments, Kind, Tools
from cji_audit.packet.catalog import MAX_BYTES as MAX_CATALOG
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import INDEX, files_of, read, write
from cji_audit.packet.inputs import MAX_BYTES
from cji_audit.packet.make import make, survey_again
from cji_audit.packet.material import File, Machine, Material, Period, Trail
from cji_audit.packet.report import checks_of
from cji_audit.packet.rows import STATUSES, Row, rows
from cji_audit.packet.verify import verify as verify_packet
from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.errors import ClientError, SpecError, Unverified
from cji_core.jose import VerifyingKey, key_id

P = ParamSpec("P")
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_PACKET: Final = click.Path(exists=True, path_type=Path)
_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])
_CLOUD: Final = click.option("--cloud", default="azure-us", show_default=True, help="Whose providers may be named.")
_TRAIL: Final = click.option("--trail", "trails", type=FILE, multiple=True, help="Audit trail; one of each worker.")
_NAMES: Final = {"from": "first", "to": "last", "trail": "trails"}
_MAX_CONFIG: Final = 1 << 20
_MAX_MANIFEST: Final = 64 << 20


def _refused(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a PacketError into a Failure 2, and an unreadable file too."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PacketError as error:
            raise Failure(error.what, remedy=error.remedy, status=2) from error
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}", remedy="Name a readable file.", status=2) from error

    return run


class MadePacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit packet`: a packet for an auditor."""

    folder: Annotated[str, member("its folder")]
    zip: Annotated[str, member("the same as one file")]
    packet_sha256: Annotated[str, member("SHA-256 of packet.json, hexadecimal")]
    rows: Annotated[dict[str, int], member("number of fragments by status: `met`, `not met`, `gap`, `outside`")]
    checks: Annotated[dict[str, str], member("outcome of each check by its name")]


class PacketDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between a packet and what it includes."""

    file: Annotated[str, member("the file")]
    what: Annotated[str, member("what differs, in words")]


class VerifiedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit packet verify`: a packet that was read again; it is sound if nothing differs."""

    packet_sha256: Annotated[str, member("SHA-256 of packet.json, hexadecimal")]
    files: Annotated[int, member("number of files")]
    differences: Annotated[tuple[PacketDifference, ...], member("objects of the kind PacketDifference")]


@click.group(invoke_without_command=True)
@click.option("--from", "first", type=_DAY, help="First day of the period, UTC.")
@click.option("--to", "last", type=_DAY, help="Last day of the period, UTC.")
@_TRAIL
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
@click.option("--reviews", type=_FOLDER, help="Signed weekly reviews, also in folders of weeks.")
@click.option("--reviewer-key", "reviewer_keys", type=FILE, multiple=True, help="Public key of a reviewer.")
@click.option("--checkpoints", type=_FOLDER, help="Checkpoints that a witness kept.")
@click.option("--receipt-key", "receipt_keys", type=FILE, multiple=True, help="Public receipt key without evidence.")
@click.option("--deployment", type=FILE, multiple=True, help="Export for `cji doctor --azure`; may be given again.")
@click.option("--sbom", type=FILE, help="CycloneDX bill of materials, JSON.")
@click.option("--tests", type=FILE, help="Test results, JUnit XML.")
@PROFILE
@_CLOUD
@click.option("--docx/--no-docx", default=True, help="Write packet.docx too.")
@answers(MadePacket)
@click.pass_context
@explained
@_refused
def packet(context: click.Context, /, **options: Any) -> None:
    """Make the packet for an auditor: every requirement, who acts, the evidence of a period, and the gaps.

    Writes a folder and a ZIP: pages for people, OSCAL, and everything that is needed to repeat the checks. What is
    not given becomes a gap that the packet names. Exit status 0 means that the packet was made, not that every
    requirement is met.

    \b
    Examples:
      cji audit packet --from 2026-10-01 --to 2026-12-31 --trail /var/lib/cji/audit.log --catalog cjis-v6.1.json \\
        --config /etc/cji/worker.toml --policy /etc/cji/policy.toml --evidence evidence.json --out q4
      cji audit packet verify q4.zip
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


@packet.command("verify")
@click.argument("path", metavar="DIR|ZIP", type=_PACKET)
@_TRAIL
@PROFILE
@_CLOUD
@answers(VerifiedPacket)
@click.pass_context
@explained
@_refused
def verify_command(
    context: click.Context, path: Path, trails: tuple[Path, ...], profile: Path | None, cloud: str, *, as_json: bool
) -> None:
    """Verify a packet: compare every file, read what it includes again, and repeat every check. Uses no network.

    With --trail, the facts are read from the trail again. The exit status is 3 if anything differs; each difference
    is named with its file. Compare the digest of packet.json with the one that you were given.

    \b
    Example:
      cji audit packet verify q4.zip --trail audit.log
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    files = read(path)

    def again(material: Material) -> Sequence[Trail]:
        return survey_again(trails, material)

    found = verify_packet(files, tools_for(context, cloud=cloud, profile=profile), resurvey=again if trails else None)
    digest = sha256(files.get(INDEX, b"")).hexdigest()
    if as_json:
        differences = [{"file": each.file, "what": each.what} for each in found]
        print_document({"packet_sha256": digest, "files": len(files), "differences": differences})
    elif found:
        for each in found:
            click.echo(f"{each.file}: {each.what}")
    else:
        how = "against its trails" if trails else "by itself; give --trail to compare it with the trail"
        click.echo(f"verified: {len(files)} files, {how}\nSHA-256 of {INDEX}: {digest}")
    if found:
        context.exit(3)


def _attachments(options: Mapping[str, Any]) -> Attachments:
    """The files that the packet passes on, by kind. A folder that was not named has no kind."""
    files: dict[Kind, dict[str, bytes]] = {
        "keys": _contents(options["keys"]),
        "maa_policy": _contents([each for each in [options["maa_policy"]] if each]),
        "sbom": _contents([each for each in [options["sbom"]] if each]),
        "tests": _contents([each for each in [options["tests"]] if each]),
        "machines": _contents(options["evidence"]),
        "deployment": _contents(options["deployment"]),
        "receipt_keys": _contents(options["receipt_keys"]),
        "confirmation_keys": _contents(options["confirmation_keys"]),
        "reviewer_keys": _contents(options["reviewer_keys"]),
    }
    if options["receipts"] is not None:
        files["receipts"] = _contents(sorted(options["receipts"].glob("*.jws")))
    if options["confirmations"] is not None:
        files["confirmations"] = _contents(sorted(options["confirmations"].glob("*.jws")))
    if options["reviews"] is not None:
        files["reviews"] = _reviews(options["reviews"])
    if options["checkpoints"] is not None:
        files["checkpoints"] = _contents(sorted(each for each in options["checkpoints"].iterdir() if each.is_file()))
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
    """Signed reviews in the folder and in its folders, each under the name of its folder."""
    paths = sorted(folder.rglob("*.signed.json"))
    named = {"-".join(path.relative_to(folder).parts): path for path in paths}
    return {name: _bytes(path, MAX_BYTES) for name, path in named.items()}


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


def tools_for(context: click.Context, *, cloud: str, profile: Path | None) -> Tools:
    """The tools, with the trusts that the command was built with; the imports need the TPM's libraries."""
    from cji_attestation.provider_policy import RULES as MAA_RULES  # noqa: PLC0415
    from cji_attestation.provider_policy import MaaPolicyError, policy_hash  # noqa: PLC0415
    from cji_attestation.provider_policy import lint as lint_maa  # noqa: PLC0415
    from cji_attestation.provider_policy import parse_policy as parse_maa  # noqa: PLC0415
    from cji_attestation.release.policy import RULES, PolicyError, lint, parse_policy  # noqa: PLC0415

    trust, reference = trust_named(context, cloud), reference_values(profile, None)

    def release(data: bytes) -> list[str]:
        try:
            return _lines(lint(parse_policy(data), trust=trust))
        except PolicyError as error:
            return [_line(RULES[error.check])]

    def provider(data: bytes) -> list[str]:
        try:
            return _lines(lint_maa(parse_maa(data)))
        except MaaPolicyError as error:
            return [_line(MAA_RULES[error.check])]

    def appraise(name: str, data: bytes) -> tuple[Machine, VerifyingKey | None]:
        file = File.of(name, data)
        try:
            found = read_evidence(data, trust=trust_named(context, evidence_cloud(data)), reference=reference)
        except (Unverified, SpecError) as error:
            return _refused_machine(file, error), None
        verdict = found.verdict
        machine = Machine(
            file=file,
            refused="",
            cloud=found.cloud,
            simulated=found.simulated,
            tee=str(verdict.tee),
            product=verdict.product,
            measurement=verdict.measurement.hex(),
            pcrs=tuple(each.hex() for each in verdict.pcrs),
            evidence_sha384=hashlib.sha384(found.shown.token_evidence).hexdigest(),
            line=0,
            receipt_key=key_id(found.receipt_key),
            appraised_at=found.time.at.isoformat(timespec="seconds"),
            time_by=found.time.by,
            checks=len(found.checks) - len(found.unchecked),
            unchecked=tuple(sorted({check.id for check in found.unchecked})),
            stamped=any(check.id == "E51" and not isinstance(check, Skipped) for check in found.checks),
        )
        return machine, found.receipt_key

    return Tools(lint_release_policy=release, lint_maa_policy=provider, maa_policy_hash=policy_hash, appraise=appraise)


def _refused_machine(file: File, error: ClientError) -> Machine:
    return Machine(
        file=file,
        refused=str(error),
        cloud="",
        simulated=False,
        tee="",
        product="",
        measurement="",
        pcrs=(),
        evidence_sha384="",
        line=0,
        receipt_key="",
        appraised_at="",
        time_by="",
        checks=0,
        unchecked=(),
    )


def _lines(found: Iterable[Finding]) -> list[str]:
    return [_line(each.rule, each.detail) for each in found]


def _line(rule: Rule, detail: str = "") -> str:
    return f"{rule.severity} {rule.id} {rule.title}" + (f": {detail}" if detail else "")
