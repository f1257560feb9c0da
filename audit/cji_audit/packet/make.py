"""The making of a packet from files: trails are surveyed with what checkpoints, receipts and evidence ask for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_audit.packet.archive import MAX_BYTES
from cji_audit.packet.attachments import Attachments, Tools
from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import Content, encoded
from cji_audit.packet.inputs import read_configuration
from cji_audit.packet.logged import in_trail
from cji_audit.packet.material import File, Material, Period
from cji_audit.packet.reviews import placed as placed_reviews
from cji_audit.packet.survey import Surveyed, survey
from cji_core.documents import decode
from cji_core.format.configuration.worker import Config
from cji_core.manifest import VERSION
from cji_core.trail.rules import CheckpointKeys

_REMEDY: Final = "Give the trail of each worker once, under different names."


def make(
    *,
    period: Period,
    trails: Sequence[Path],
    catalog: tuple[str, bytes],
    attachments: Attachments,
    tools: Tools,
    configuration: tuple[str, bytes, Config] | None = None,
    policy: tuple[str, bytes] | None = None,
    manifest: tuple[str, bytes] | None = None,
) -> Content:
    """The content of a packet. Raises PacketError, and OSError for a trail that cannot be read."""
    texts = read_catalog(catalog[1], controls())
    facts = attachments.facts(tools)
    if len({path.name for path in trails}) != len(trails):
        raise PacketError("Two trails have the same name", _REMEDY)
    ordered = sorted(trails, key=lambda path: path.name)
    surveyed = [survey(path, period, **_sought(facts)) for path in ordered]
    material = Material(
        product=VERSION,
        period=period,
        catalog=File.of(*catalog),
        trails=tuple(each.trail for each in surveyed),
        configuration=None if configuration is None else read_configuration(*configuration),
        policy=None if policy is None else File.of(*policy),
        manifest=None if manifest is None else File.of(*manifest),
        **_placed(facts, surveyed),
    )
    material = decode(encoded(material), Material, limit=MAX_BYTES)  # as its reader will have it
    return Content(material=material, catalog=texts, lines=[each.lines for each in surveyed], attachments=attachments)


def survey_again(
    trails: Sequence[Path], material: Material, *, keys: CheckpointKeys | None = None, packet: str | None = None
) -> list[Surveyed]:
    """The trails that the material names, surveyed up to the lines that it has; a trail may have grown since.

    `keys` and `packet` are as for `survey`.
    """
    found = []
    for before in material.trails:
        file = next((path for path in trails if path.name == before.file), None)
        if file is None:
            raise PacketError(
                f"The packet is about {before.file}, which was not given",
                "Give every trail with --trail, in a file of the name that the packet's maker used.",
            )
        most = None if before.broken else before.lines
        found.append(
            survey(
                file, material.period, most=most, keys=keys, packet=packet, **_sought(msgspec.structs.asdict(material))
            )
        )
    return found


def _sought(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a survey: sizes of checkpoints and reviews; digests of receipts, evidence and reviews."""
    digests = {each.sha384 for each in facts.get("receipts") or ()}
    digests |= {each.evidence_sha384 for each in facts.get("machines") or ()}
    digests |= {each.digest for each in facts.get("reviews") or ()}
    sizes = {each.size for each in facts.get("checkpoints") or ()}
    sizes |= {each.checkpoint.size for each in facts.get("log") or ()}
    sizes |= {head.lines for each in facts.get("reviews") or () for head in each.heads}
    return {"sizes": sizes, "digests": digests}


def _placed(facts: Mapping[str, Any], surveyed: Sequence[Surveyed]) -> dict[str, Any]:
    """The facts, with what the trails have of them: lines, and proofs that they continue the entries of the log."""
    found = {digest: line for each in surveyed for digest, line in each.found.items()}
    placed = dict(facts)
    if placed.get("receipts") is not None:
        placed["receipts"] = tuple(
            msgspec.structs.replace(each, line=found.get(each.sha384, 0)) for each in placed["receipts"]
        )
    if placed.get("reviews") is not None:
        placed["reviews"] = placed_reviews(
            placed["reviews"],
            {
                digest: (each.trail.worker, each.found[digest], time)
                for each in surveyed
                for digest, time in each.times.items()
            },
        )
    if placed.get("log") is not None:
        of = {each.trail.identity: each for each in surveyed}
        placed["log"] = tuple(in_trail(each, of[each.trail]) if each.trail in of else each for each in placed["log"])
    placed["machines"] = tuple(
        msgspec.structs.replace(each, line=found.get(each.evidence_sha384, 0)) for each in placed["machines"]
    )
    return placed
