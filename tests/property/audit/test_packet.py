"""A survey of a trail equals a slow count over its JSON; readers take any bytes; proofs are those of the tree."""

import contextlib
import json
from base64 import urlsafe_b64decode
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cji_audit.packet.archive import packed, unpacked
from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.fields import FIELDS
from cji_audit.packet.inputs import read_key, read_sbom, read_tests
from cji_audit.packet.material import Period
from cji_audit.packet.reviews import read_reviews
from cji_audit.packet.signed import read_checkpoint, read_receipts
from cji_audit.packet.survey import Tree, survey
from cji_audit.packet.verify import verify
from cji_core.errors import Reason
from cji_core.trail import (
    GENESIS,
    Event,
    HostChanged,
    JobCompleted,
    TrailAnchored,
    Volumes,
    WorkerNotReady,
    WorkerReady,
    append_record,
    utc_hundredths,
)
from cji_core.trail.merkle import Frontier, leaf_hash, node_hash, verify_inclusion
from tests.support.packet_period import KEK, admitted, attested, receipt, released, started

PERIOD = Period(first=date(2026, 10, 5), last=date(2026, 10, 6))
BEGIN = datetime(2026, 10, 4, tzinfo=UTC)
POLICIES = ("01" * 48, "02" * 48)
VOLUMES = Volumes(rows_in=1, rows_out=1, bytes_in=1, bytes_out=1, chri_rows_out=0, subjects_out=1)


def completed(number: int, region: str) -> JobCompleted:
    text = receipt(number, number + 1, "0" * 96, POLICIES[0], {"region": region})
    return JobCompleted(
        job_id=f"{number:032x}",
        header_sha384=f"{number:096x}",
        submitter="metro-pd",
        requesting_ori="WI0130000",
        purpose_code="C",
        duration_ms=1,
        volumes=VOLUMES,
        receipt=text,
    )


COMPLETED = [completed(number, region) for number in range(2) for region in ("eastus", "westus")]
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(started, policy_sha384=st.sampled_from(POLICIES), host_profile=st.sampled_from(("none", "cji-host-1"))),
    st.builds(attested, region=st.sampled_from(("eastus", "usgovtexas"))),
    st.just(released()),
    st.just(WorkerReady(kek_ids=(KEK,))),
    st.builds(
        WorkerNotReady, reason=st.sampled_from((Reason.AUDIT_UNAVAILABLE, Reason.NOT_READY)), condition=st.just("trail")
    ),
    st.builds(HostChanged, unmet=st.sampled_from(((), ("bpf",)))),
    st.builds(TrailAnchored, counter=st.integers(0, 4)),
    st.builds(admitted, st.integers(0, 1), st.sampled_from(POLICIES)),
    st.sampled_from(COMPLETED),
)
STEPS = st.lists(st.tuples(EVENTS, st.integers(-3, 12)), min_size=1, max_size=40)


def written(path: Path, steps: list[tuple[Event, int]]) -> list[bytes]:
    """A trail whose clock moves by so many hours a line."""
    head, moment, lines = GENESIS, BEGIN, []
    for event, hours in steps:
        moment += timedelta(hours=hours)
        head, line = append_record(event, head=head, time=utc_hundredths(moment), worker="worker-1")
        lines.append(line)
    path.write_bytes(b"".join(lines))
    return lines


def shown(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in items if each is not None]


def slow_counts(lines: list[bytes]) -> dict[str, Counter[str]]:
    """The values of fields in the period, from the JSON of the lines alone."""
    found: dict[str, Counter[str]] = {}
    latest = ""
    for line in lines:
        record = json.loads(line)
        latest = max(latest, record["time"])
        if not "2026-10-05T00:00:00.00Z" <= latest < "2026-10-07T00:00:00.00Z":
            continue
        event = record["event"]
        sources = {event["kind"]: event}
        if "receipt" in event:
            payload = event["receipt"].split(".")[1]
            sources["receipt"] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        found.setdefault("kind", Counter())[event["kind"]] += 1
        for kind, source in sources.items():
            for name in FIELDS.get(kind, ()):
                value = source
                for part in name.split("."):
                    value = value.get(part) if value is not None else None
                for text in shown(value):
                    found.setdefault(f"{kind}.{name}", Counter())[text] += 1
    return found


def slow_incidents(lines: list[bytes]) -> Counter[str]:
    """Anchors and times that go back, and jobs without attested evidence, at lines of the period."""
    found: Counter[str] = Counter()
    latest, anchor, known = "", None, False
    for line in lines:
        record = json.loads(line)
        event, late = record["event"], record["time"] < latest
        latest = max(latest, record["time"])
        inside = "2026-10-05T00:00:00.00Z" <= latest < "2026-10-07T00:00:00.00Z"
        found["time-stamps"] += late and inside
        if event["kind"] == "trail_anchored":
            found["anchors"] += anchor is not None and event["counter"] <= anchor and inside
            anchor = event["counter"]
        known |= event["kind"] == "attested"
        found["attested-machines"] += event["kind"] in {"key_released", "job_completed"} and not known and inside
    return +found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_a_survey_equals_a_slow_count(tmp_path: Path, steps: list[tuple[Event, int]]) -> None:
    path = tmp_path / "trail"
    lines = written(path, steps)
    trail = survey(path, PERIOD).trail
    counted = {
        name: Counter({value: seen.count for value, seen in of.items()})
        for name, of in trail.seen.items()
        if not name.startswith("in_force.")
    }
    assert counted == slow_counts(lines)
    topics = {"time-stamps", "anchors", "attested-machines"}
    noted = Counter(each.topic for each in trail.incidents if each.topic in topics)
    noted += Counter({name: count for name, count in trail.unlisted_incidents.items() if name in topics})
    assert noted == slow_incidents(lines)
    for listed in trail.included:
        verify_inclusion(
            leaf_hash(lines[listed.number - 1]),
            index=listed.number - 1,
            size=len(lines),
            proof=[bytes.fromhex(each) for each in listed.proof],
            root=bytes.fromhex(trail.root),
        )
    assert {seen.first for of in trail.seen.values() for seen in of.values()} <= {
        each.number for each in trail.included
    }


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return node_hash(slow_root(leaves[:split]), slow_root(leaves[split:]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33])
def test_the_tree_of_a_survey_is_that_of_the_standard(size: int) -> None:
    leaves, tree = [leaf_hash(bytes([n])) for n in range(size)], Tree()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root() == slow_root(leaves).hex()
    for index, leaf in enumerate(leaves):
        proof = [bytes.fromhex(each) for each in tree.proof(index)]
        verify_inclusion(leaf, index=index, size=size, proof=proof, root=slow_root(leaves))


def test_a_tree_after_pruned_lines_is_that_of_all_lines() -> None:
    """Before 0 to 69 leaves, with 70 after them: the same roots, and the same proofs of those after them."""
    leaves = [leaf_hash(bytes([n])) for n in range(139)]
    frontier = Frontier()
    for before in range(70):
        tree, whole = Tree(frontier), Tree()
        frontier.append(leaves[before])
        for leaf in leaves[:before]:
            whole.append(leaf)
        assert (tree.size, tree.root()) == (whole.size, whole.root())
        for leaf in leaves[before : before + 70]:
            tree.append(leaf)
            whole.append(leaf)
            assert (tree.size, tree.root()) == (whole.size, whole.root())
        for index in range(before, before + 70):
            assert tree.proof(index) == whole.proof(index)


def test_pruned_lines_take_no_memory() -> None:
    """Their number is from a file that nobody verified yet."""
    before = Frontier(1 << 45, [b"p" * 32])
    tree = Tree(before)
    for leaf in (b"a" * 32, b"b" * 32):
        tree.append(leaf)
        before.append(leaf)
        assert (tree.size, tree.root()) == (before.size, before.root().hex())
    assert tree.proof(1 << 45) == ((b"b" * 32).hex(), (b"p" * 32).hex())


ANY = st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("key", "units", "components", "n")), inner)
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=40)
@given(ANY)
@example(b"[" * 100_000)
@example(b'{"payload":"e30","protected":"e30","signature":""}')
@example(b'{"attributes":{"enabled":true,"created":"x"},"key":{"kid":"","kty":""}}')
def test_any_bytes_are_facts_or_refused_with_a_remedy(data: bytes) -> None:
    readers = (
        lambda: read_catalog(data, controls()),
        lambda: read_key("f", data, lambda _: ()),
        lambda: read_sbom("f", data),
        lambda: read_tests("f", data, ()),
        lambda: read_receipts("f", data, {}),
        lambda: read_checkpoint("f", data, {}),
        lambda: read_reviews({"f.signed.json": data}, {}),
        lambda: unpacked(data),
    )
    for read in readers:
        with contextlib.suppress(PacketError):
            read()


@given(st.dictionaries(st.sampled_from(("packet.json", "material.json", "catalog.json", "given/keys/a", "x")), ANY))
def test_any_files_are_not_a_packet(files: dict[str, bytes]) -> None:
    assert verify(files, None) != ()  # type: ignore[arg-type]  # nothing gets as far as the tools
    assert unpacked(packed(files)) == files
