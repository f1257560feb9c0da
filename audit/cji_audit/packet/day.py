"""The auditor's page about a packet: what was asked, on whose word it rests, what is proven, open, and due next.

Every claim links to the command that re-derives it, as the reader ran it: with the reader's own pins and trails. Of a
packet that the reader's pins do not vouch for, nothing is under "proven".
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from cji_audit.packet.checks import Result
from cji_audit.packet.checks.reviews import allowed_days
from cji_audit.packet.document import Badge, Block, Cell, Document, Facts, Heading, Link, Listing, Section, Table, Text
from cji_audit.packet.material import Material
from cji_audit.packet.report import checks_of, lacking, ranges
from cji_audit.packet.rows import STATUSES, Row
from cji_audit.packet.trust import Trust
from cji_audit.packet.verify import Difference
from cji_audit.review import Week

NOTICE: Final = (
    "For the auditor. Made without a network from a packet and the reader's own pins. It has no script and loads "
    "nothing. It has no record and no key."
)
ALL: Final = "command-all"
_SOUND: Final = Badge("trusted under your pins", "good")
_UNSOUND: Final = Badge("not trusted", "bad")
_IN_IDS: Final = str.maketrans(" /(.", "----", ")")
"""Characters in names of checks that an anchor has in another way."""


def day(
    material: Material,
    rows: Sequence[Row],
    trust: Trust,
    differences: Sequence[Difference],
    *,
    command: Callable[..., str],
    now: datetime,
) -> Document:
    """The page. `command` makes the command that verifies the packet again, with further words."""
    trusted, checks = not trust.refusals and not differences, checks_of(rows)
    proven = {name: each for name, each in checks.items() if each.status == "holds"}
    title = "What is proven" if trusted else "What the packet states, and your pins do not vouch for"
    return Document(
        title=f"Audit of {material.period.first} to {material.period.last}",
        notice=NOTICE,
        cover=(
            Facts(_cover(material)),
            Table(("what", "in short", "command"), list(_short(material, rows, checks, now, trusted=trusted))),
        ),
        sections=(
            Section("asked", "What was asked", tuple(_asked(rows))),
            Section("rests", "On whose word it rests", tuple(_rests(trust))),
            Section("proven", title, tuple(_proven(rows, proven, trusted=trusted))),
            Section("open", "What is open", tuple(_open(rows, checks, trust, differences))),
            Section("due", "What is due next", tuple(_due(material, now))),
            Section("commands", "Commands", tuple(_commands(checks, command))),
        ),
    )


def _cover(material: Material) -> dict[str, str]:
    return {
        "period": f"{material.period.first} to {material.period.last}, UTC",
        "workers": ", ".join(trail.worker for trail in material.trails),
        "product": f"cji-worker {material.product}",
    }


def _short(
    material: Material, rows: Sequence[Row], checks: dict[str, Result], now: datetime, *, trusted: bool
) -> Iterator[tuple[Cell, ...]]:
    """The page in four rows; the sections have all of it."""
    counts = Counter(row.status for row in rows)
    yield "packet", _SOUND if trusted else _UNSOUND, _link(ALL)
    own = ", ".join(f"{counts[status]} {status}" for status in ("met", "partial", "not met", "gap"))
    yield "proven" if trusted else "stated, not proven", f"{own}, of {len(rows)} fragments", _link(ALL)
    unmet = [name for name, each in checks.items() if each.status != "holds"]
    yield "open", ", ".join(unmet) or "nothing: every check holds", _link(_id(unmet[0]) if unmet else ALL)
    for at, what, to in sorted(_dates(material))[:1]:
        yield "overdue" if at < now else "due next", f"{at:%Y-%m-%d %H:%M} UTC: {what}", _link(to)


def _asked(rows: Sequence[Row]) -> Iterator[Block]:
    """The requirements by family, with the statuses that were computed."""
    yield Text(
        "The requirements of the catalog that this product can touch, by family, and the status of their fragments."
    )
    cells = list[tuple[Cell, ...]]()
    for family, of in groupby(rows, key=lambda row: row.family):
        counts = Counter(row.status for row in of)
        cells.append((family, *(str(counts[status]) for status in STATUSES), _link(ALL)))
    yield Table(("family", *STATUSES, "command"), cells, "counts")


def _rests(trust: Trust) -> Iterator[Block]:
    """The keys, and what signature, timestamp and trails show: also what they leave to the signer's word."""
    pinned = Badge("pinned by you", "good"), Badge("as given by the maker", "open")
    signers = [(each.role, each.key_id, pinned[0 if each.pinned else 1], _link(ALL)) for each in trust.signers]
    if signers:
        yield Table(("rests on", "thumbprint", "whose word", "command"), signers)
    if trust.statements:
        yield Table(("signature, time and trails", "command"), [(each, _link(ALL)) for each in trust.statements])


def _proven(rows: Sequence[Row], checks: dict[str, Result], *, trusted: bool) -> Iterator[Block]:
    if not trusted:
        yield Text("Nothing is proven: see what is open. The packet itself states this.")
    if checks:
        yield Table(
            ("check", "what held", "fragments that use it", "command"), [_claim(rows, *each) for each in checks.items()]
        )


def _claim(rows: Sequence[Row], name: str, result: Result) -> tuple[Cell, ...]:
    """A check with what it showed, the fragments that rest on it, and its command."""
    return name, result.why, ", ".join(ranges(_resting(rows, name, result))), _link(_id(name))


def _resting(rows: Sequence[Row], name: str, result: Result) -> list[str]:
    return [row.id for row in rows if row.checks.get(name, row.checks.get("tests")) == result]


def _open(
    rows: Sequence[Row], checks: dict[str, Result], trust: Trust, differences: Sequence[Difference]
) -> Iterator[Block]:
    """Reasons not to trust the packet first, then what is not met, then gaps."""
    reasons: list[tuple[Cell, ...]] = [(each.reason, each.what, each.remedy, _link(ALL)) for each in trust.refusals]
    reasons += [
        ("differs", f"{each.file}: {each.what}", "Ask the agency for the true packet.", _link(ALL))
        for each in differences
    ]
    if reasons:
        yield Table(("reason", "what is so", "what you can do", "command"), reasons)
    for status, words in (("fails", "not met"), ("missing", "gap")):
        found = {name: each for name, each in checks.items() if each.status == status}
        if found:
            heads = ("check", f"why ({words})", "fragments", "command")
            yield Table(heads, [_claim(rows, *each) for each in found.items()])
    partial = lacking(rows)
    if partial:
        cells = [(what, ", ".join(ranges(ids)), _link(ALL)) for what, ids in partial.items()]
        yield Table(("what is missing (partial)", "fragments", "command"), cells)
    counts = Counter(row.status for row in rows)
    yield Text(
        f"{counts['agency']} fragments are the agency's and {counts['provider']} the provider's; see packet.html."
    )
    if not reasons and not partial and all(each.status == "holds" for each in checks.values()):
        yield Text("Nothing else is open.")


def _due(material: Material, now: datetime) -> Iterator[Block]:
    """Dates that follow from the packet, the next one first."""
    found = sorted(_dates(material), key=lambda each: each[0])
    if not found:
        yield Text("The packet states no date that is still to come.")
        return
    rows: list[tuple[Cell, ...]] = [
        (
            f"{at:%Y-%m-%d %H:%M} UTC",
            Badge("overdue", "bad") if at < now else Badge("to come", "plain"),
            what,
            _link(to),
        )
        for at, what, to in found
    ]
    yield Table(("when", "state", "what", "command"), rows)


def _dates(material: Material) -> Iterator[tuple[datetime, str, str]]:
    days, sound = allowed_days(material), [each for each in material.reviews or () if each.ended]
    if sound:
        last = max(sound, key=lambda each: each.ended)
        ends = datetime.fromisoformat(last.ended) + timedelta(weeks=1)
        week = Week.parse(last.week).shifted(1)
        yield ends + timedelta(days=days), f"the review of week {week} is signed and recorded", _id("reviews")
    for key in material.keys:
        if key.expires:
            yield datetime.fromisoformat(key.expires).astimezone(UTC), f"key {key.kid} expires", _id("key-attributes")


def _commands(checks: dict[str, Result], command: Callable[..., str]) -> Iterator[Block]:
    yield Text(
        "Run them in the folder from which this page was made, with the same files. They use no network. The exit "
        "status is 0 if the packet is trusted under your pins. Beneath each check are the commands that print the "
        "digests of its evidence; they run beside the files that they name."
    )
    yield Listing(command(), id=ALL)
    for name, result in checks.items():
        yield Heading(name)
        again = [each.recheck for each in result.evidence]
        yield Listing("\n".join([command("--check", name), *dict.fromkeys(again)]), id=_id(name))


def _link(target: str) -> Link:
    return Link("re-derive", target)


def _id(check: str) -> str:
    return f"command-{check}".translate(_IN_IDS)
