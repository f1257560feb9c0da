"""A packet with the pins and trails of its reader, and the verdict under them."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import reduce, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from cji_attestation.appraisal import TimestampRoot
from cji_attestation.appraisal.timestamp import sound_timestamp_roots
from cji_attestation.verbs.reference_values import PROFILE
from cji_audit.packet.attachments import Attachments, Tools
from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import CATALOG, attachments_of, read, safe
from cji_audit.packet.keys import Keys, keys_in, p384_of
from cji_audit.packet.make import survey_again
from cji_audit.packet.material import Material
from cji_audit.packet.reviews import again as reviews_again
from cji_audit.packet.rows import Row, rows
from cji_audit.packet.survey import Surveyed
from cji_audit.packet.trust import Pins, Trust, packet_sha384, trust
from cji_audit.packet.verify import Difference, material_in
from cji_audit.packet.verify import verify as differences_of
from cji_audit.verbs.packet_tools import CLOUD, TRAIL, tools_for
from cji_audit.verbs.review_sign import confirmation_sources
from cji_core.command.common import FILE
from cji_core.errors import StartupError
from cji_core.jose import VerifyingKey
from cji_core.strict import StrictError
from cji_core.tlog.policy import Policy, load_policy

_PATH: Final = click.argument("path", metavar="DIR|ZIP", type=click.Path(exists=True, path_type=Path))
TSA_ROOT: Final = click.option(
    "--tsa-root",
    "tsa_roots",
    type=FILE,
    multiple=True,
    help="PEM of a timestamp authority's root: demands a timestamp.",
)
_SIGNER: Final = click.option("--signer", "signers", type=FILE, multiple=True, help="Public pair of the agency, JWK.")
_RECEIPT_KEY: Final = click.option(
    "--receipt-key", "receipt_keys", type=FILE, multiple=True, help="Receipt keys of workers: PEM, or JWKs, one a line."
)
_REVIEWER: Final = click.option(
    "--reviewer", "reviewers", type=FILE, multiple=True, help="Public key of a reviewer, PEM or JWK."
)
_CONFIRMATION_KEY: Final = click.option(
    "--confirmation-key", "confirmers", type=FILE, multiple=True, help="Public key of a confirming recipient."
)
_RETENTION_KEY: Final = click.option(
    "--retention-key", "disposers", type=FILE, multiple=True, help="Public key of the retention log, PEM or JWK."
)
_RECORDED: Final = click.option("--recorded", is_flag=True, help="Demand a line of a --trail that records this packet.")
_POLICY: Final = click.option(
    "--policy", "policies", type=FILE, multiple=True, help="A policy of confirmed jobs, for reviews with confirmations."
)
_LOG_POLICY: Final = click.option(
    "--log-policy",
    "log_policies",
    type=FILE,
    multiple=True,
    help="Policy of the agency's log, with its keys, witnesses and quorum: demands an entry of each trail.",
)
_OPTIONS: Final = (
    *(_PATH, _SIGNER, _RECEIPT_KEY, _REVIEWER, _CONFIRMATION_KEY, _RETENTION_KEY, _LOG_POLICY, TSA_ROOT),
    *(_RECORDED, TRAIL, _POLICY, PROFILE, CLOUD),
)
_NAMES: Final = {
    "signers": "--signer",
    "receipt_keys": "--receipt-key",
    "reviewers": "--reviewer",
    "confirmers": "--confirmation-key",
    "disposers": "--retention-key",
    "log_policies": "--log-policy",
    "tsa_roots": "--tsa-root",
    "trails": "--trail",
    "policies": "--policy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The arguments of a verb that verifies a packet."""

    path: Path
    signers: tuple[Path, ...]
    receipt_keys: tuple[Path, ...]
    reviewers: tuple[Path, ...]
    confirmers: tuple[Path, ...]
    disposers: tuple[Path, ...]
    log_policies: tuple[Path, ...]
    tsa_roots: tuple[Path, ...]
    recorded: bool
    trails: tuple[Path, ...]
    policies: tuple[Path, ...]
    profile: Path | None
    cloud: str

    @property
    def pins(self) -> Pins:
        """Raises PacketError."""
        return Pins(
            keys={
                "signer": _keys(self.signers),
                "receipt-key": _keys(self.receipt_keys),
                "reviewer": _keys(self.reviewers),
                "confirmation-key": _keys(self.confirmers),
                "retention-key": _keys(self.disposers),
            },
            stamp_roots=stamp_roots(self.tsa_roots),
            recorded=self.recorded,
            logs=_logs(self.log_policies),
        )

    def command(self, *more: str) -> str:
        """The command that verifies the packet again, as a shell takes it."""
        words = ["cji", "audit", "packet", "verify", str(self.path)]
        words += [
            word for name, option in _NAMES.items() for path in getattr(self, name) for word in (option, str(path))
        ]
        words += ["--recorded"] * self.recorded
        words += ["--profile", str(self.profile)] if self.profile else []
        words += ["--cloud", self.cloud] if self.cloud != "azure-us" else []
        return shlex.join([*words, *more])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A packet under its reader's pins. `rows` are computed again; there are none of a packet that cannot be read."""

    files: dict[str, bytes]
    material: Material | None
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    trust: Trust

    @property
    def trusted(self) -> bool:
        """Whether nothing differs, and nothing is refused."""
        return not self.differences and not self.trust.refusals


def packet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, which the command gets as `given`."""
    names = [each.name for each in fields(Given)]

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        return command(*args, given=Given(**{name: kwargs.pop(name) for name in names}), **kwargs)

    return reduce(lambda made, option: option(made), reversed(_OPTIONS), run)


def judged(context: click.Context, given: Given) -> Judged:
    """Read a packet again, and compare it with pins and trails. Raises PacketError or OSError."""
    pins, files, surveyed = given.pins, read(given.path), list[Surveyed]()
    keys, digest = p384_of(pins.of("receipt-key")), packet_sha384(files)

    def again(material: Material) -> Sequence[Surveyed]:
        surveyed[:] = survey_again(given.trails, material, keys=keys, packet=digest)
        return surveyed

    tools = tools_for(context, cloud=given.cloud, profile=given.profile)
    differences = differences_of(files, tools, resurvey=again if given.trails else None)
    material, attachments = _material(files)
    if given.trails:
        differences += _reviews_again(attachments, given.trails, given.policies)
    standing = trust(files, material, attachments, _attested(attachments, tools), pins, trails=surveyed)
    return Judged(files=files, material=material, rows=_rows(files, material), differences=differences, trust=standing)


def _rows(files: dict[str, bytes], material: Material | None) -> tuple[Row, ...]:
    if material is None:
        return ()
    try:
        return rows(material, read_catalog(files.get(CATALOG, b""), controls()), controls())
    except PacketError:
        return ()


def stamp_roots(files: Sequence[Path]) -> tuple[TimestampRoot, ...]:
    """Roots of timestamp authorities, each a PEM file of the root alone. Raises PacketError."""
    today = datetime.now(UTC).date()
    found = tuple(TimestampRoot(certificate=each.read_bytes(), source=each.name, seen=today) for each in files)
    if found and not sound_timestamp_roots(found):
        raise PacketError("A --tsa-root is not one certificate in PEM", "Give the root of the authority, once.")
    return found


def _keys(files: Sequence[Path]) -> Keys:
    return keys_in({str(each): each.read_bytes() for each in files})


def _logs(files: Sequence[Path]) -> tuple[Policy, ...]:
    try:
        return tuple(map(load_policy, files))
    except StartupError as error:
        raise PacketError(error.what, error.remedy) from error


def _material(files: dict[str, bytes]) -> tuple[Material | None, Attachments]:
    """The facts, if they can be read, and what was given; `differences_of` names what is wrong with either."""
    with suppress(StrictError, PacketError):
        material = material_in(files)
        return material, attachments_of(files, material)
    return None, Attachments()


def _reviews_again(
    attachments: Attachments, trails: Sequence[Path], policies: tuple[Path, ...]
) -> tuple[Difference, ...]:
    """The reviews whose reports do not follow from the trails, with the receipts and confirmations of the packet."""
    files = attachments.of("reviews")
    keys = keys_in(attachments.of("reviewer_keys"))
    with TemporaryDirectory() as folder:
        kept = {kind: Path(folder, kind) for kind in ("receipts", "confirmations")}
        for kind, path in kept.items():
            path.mkdir()
            for name, data in attachments.of(kind).items():  # type: ignore[arg-type]
                (path / safe(name)).write_bytes(data)
        sources = confirmation_sources(kept["confirmations"] if policies else None, policies)
        found = reviews_again(files, keys, trails, receipts=kept["receipts"], confirmations=sources)
        return tuple(Difference(file=f"given/reviews/{name}", what=what) for name, what in found)


def _attested(attachments: Attachments, tools: Tools) -> list[VerifyingKey]:
    """The receipt keys of the evidence that is accepted."""
    found = [tools.appraise(name, data)[1] for name, data in attachments.of("machines").items()]
    return [key for key in found if key is not None]
