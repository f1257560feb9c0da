"""A survey of a trail equals a slow count over its JSON; readers take any bytes; proofs are those of the tree."""

import contextlib
import json
import tracemalloc
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
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
from cji_audit.packet.subtrees import Subtrees
from cji_audit.packet.survey import MAX_COMBINATIONS, survey
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
from cji_core.trail.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
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
@example([(HostChanged(unmet=()), 25), (HostChanged(unmet=()), 1), (released(), 1), (HostChanged(unmet=()), 1)])
@pytest.mark.parametrize("combinations", [MAX_COMBINATIONS, 1])
def test_a_survey_equals_a_slow_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, combinations: int, steps: list[tuple[Event, int]]
) -> None:
    monkeypatch.setattr("cji_audit.packet.survey.MAX_COMBINATIONS", combinations)
    path = tmp_path / "trail"
    lines = written(path, steps)
    trail = survey(path, PERIOD).trail
    counted = {
        name: Counter({value: seen.count for value, seen in of.items()})
        for name, of in trail.seen.items()
        if not name.startswith("in_force.")
    }
    assert counted == slow_counts(lines)
    kinds = [json.loads(line)["event"]["kind"] for line in lines]
    for kind, seen in trail.seen.get("kind", {}).items():
        between = kinds[seen.first - 1 : seen.last]
        assert (between[0], between[-1], between.count(kind)) == (kind, kind, seen.count)
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


def line(number: int) -> bytes:
    return b"line %d\n" % number


def appended(count: int, before: int = 0) -> tuple[Subtrees, Frontier, Callable[[int], Iterator[bytes]]]:
    """So many leaves, of which the first were pruned; and what reads the others again."""
    text = [line(number) for number in range(count)]
    frontier = Frontier()
    for each in text[:before]:
        frontier.append(leaf_hash(each))
    begin = sum(map(len, text[:before]))
    tree = Subtrees(Frontier(frontier.size, frontier.peaks), offset=begin)
    for each in text[before:]:
        tree.append(each, frontier.append(leaf_hash(each)))
    rest = b"".join(text[before:])
    return tree, frontier, lambda offset: iter(rest[offset - begin :].splitlines(keepends=True))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 255, 256, 257, 300, 511, 512, 513, 1000])
def test_proofs_of_a_survey_are_those_of_the_standard(size: int) -> None:
    tree, frontier, read_again = appended(size)
    leaves = [leaf_hash(line(number)) for number in range(size)]
    root = slow_root(leaves)
    assert (tree.size, frontier.root()) == (size, root)
    for index in {0, size // 3, size // 2, size - 1, min(size - 1, 256)}:
        proof = tree.proven(partial(inclusion_proof, index, size), read_again)
        verify_inclusion(leaves[index], index=index, size=size, proof=proof, root=root)
        earlier = slow_root(leaves[: index + 1])
        path = tree.proven(partial(consistency_proof, index + 1, size), read_again)
        verify_consistency(earlier=index + 1, earlier_root=earlier, size=size, root=root, proof=path)
    assert tree.lines({1, size}, read_again) == {1: line(0), size: line(size - 1)}


@pytest.mark.parametrize("before", [*range(20), 255, 256, 257, 300, 511, 512, 700])
def test_proofs_after_pruned_lines_are_those_of_all_lines(before: int) -> None:
    size = before + 530
    tree, _, read_again = appended(size, before)
    whole, _, read_all = appended(size)
    for index in {before, before + 1, before + 100, before + 256, size - 1}:
        for make in (partial(inclusion_proof, index, size), partial(consistency_proof, max(1, index), size)):
            assert tree.proven(make, read_again) == whole.proven(make, read_all)
        assert tree.lines({index + 1}, read_again) == {index + 1: line(index)}


def test_pruned_lines_take_no_memory() -> None:
    """Their number is from a file that nobody verified yet."""
    before = Frontier(1 << 45, [b"p" * 32])
    tree = Subtrees(before, offset=7)
    for text in (b"a", b"b"):
        tree.append(text, before.append(leaf_hash(text)))
    found = tree.proven(partial(inclusion_proof, 1 << 45, tree.size), lambda _: iter([b"a", b"b"]))
    assert found == [leaf_hash(b"b"), b"p" * 32]


def test_lines_take_a_quarter_of_a_byte_each() -> None:
    """What a survey of ten million lines keeps of their tree is a few megabytes."""
    nodes = [bytes([level]) * 32 for level in range(64)]

    def kept(count: int) -> int:
        tracemalloc.start()
        tree = Subtrees()
        for size in range(1, count + 1):
            tree.append(b"line", nodes[: (size & -size).bit_length()])
        try:
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert kept(200_000) - kept(100_000) < 50_000


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
