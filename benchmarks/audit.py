"""`audit`: an auditor's year: a million lines verified, indexed, searched and proven; trees and proofs beside pymerkle.

Verification is what `cji audit verify` does: chain, rules, tree, the root of every checkpoint; with the keys also every
signature. Searches and proofs use the index of `cji audit search`. docs/benchmarks.md defines what is inside the clock.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from pymerkle import InmemoryTree

from benchmarks.audit_year import Year, job_id
from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from cji_core.trail.auditor_checkpoints import Comparison
from cji_core.trail.checkpoint import parse_checkpoint
from cji_core.trail.index import TrailIndex
from cji_core.trail.index_search import Query
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.proofs import LineProof, decode_proof, encode_proof, prove_line, verify_line
from cji_core.trail.rules import CheckpointKeys, Watcher
from cji_core.trail.trail import lines, size_of, verified

__all__ = ["run"]

_LINES, _QUICK_LINES = 1_000_000, 50_000
_PEER_LINES, _QUICK_PEER_LINES = 100_000, 10_000
_PROOFS: Final = 300
_SEARCHES: Final[dict[str, Query]] = {
    "kind": Query(columns={"kind": "job_refused"}),
    "agency, week": Query(columns={"ori": "WI0930000"}, since="2026-03-02", until="2026-03-09"),
    "operator, newest": Query(columns={"operator": "op-123"}, newest=True),
    "failures by agency": Query(columns={"submitter": "agency-1*", "reason": "CELL_FAILED"}),
    "job": Query(job=job_id(77)),
    "prefix anywhere": Query(prefix="op-6", newest=True),
    "all": Query(),
}


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; two minutes with `quick`, ten without."""
    machine = facts()
    report.heading("audit", machine)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trail = folder / "audit.log"
        with report.doing("a year"):
            year = Year(trail, lines=_QUICK_LINES if quick else _LINES)
        millions = year.lines / 1e6
        with report.doing("verifying"):
            used, plain = _verification(trail, millions)
            signed = _seconds(lambda: _verify(trail, year.checkpoint_keys))
        with TrailIndex(trail, folder / "index") as index, report.doing("indexing, searching, proving"):
            built = _seconds(index.update)
            index_mib = (folder / "index").stat().st_size / (1 << 20)
            searches = {name: _search_s(index, query) for name, query in _SEARCHES.items()}
            proofs = _proofs(index, year.checkpoint_keys)
        began = time.perf_counter()
        TrailIndex(trail, folder / "index").close()
        opened = time.perf_counter() - began
        peer_lines = _QUICK_PEER_LINES if quick else _PEER_LINES
        tree, proving = _beside_pymerkle(trail, peer_lines)
        figures = {
            "lines": float(year.lines),
            "jobs": float(year.jobs),
            "trail_mib": size_of(trail) / (1 << 20),
            "verify_million_s": plain,
            "verify_million_cpu_s": used,
            "verify_signed_million_s": signed / millions,
            "index_million_s": built / millions,
            "index_mib": index_mib,
            "index_open_ms": opened * 1e3,
            "search_s": max(searches.values()),
            **proofs,
            "leaves_per_s": tree.subject.middle,
            "pymerkle_leaves_per_s": tree.peer.middle,
            "proofs_per_s": proving.subject.middle,
            "pymerkle_proofs_per_s": proving.peer.middle,
        }
    report.table("a year's trail", ["", ""], [(name, f"{figure:,.3f}") for name, figure in figures.items()])
    report.table("searches", ["", "seconds"], [(name, f"{seconds:.3f}") for name, seconds in searches.items()])
    report.table("beside pymerkle", ["", "here, per s", "pymerkle, per s", "ratio"], _rows(tree, proving))
    report.note("verify_million_s must stay below 60, search_s below 2, prove_max_ms below 50, proof_bytes below 2048")
    ratios = {"tree_vs_pymerkle": tree.ratio.middle, "prove_vs_pymerkle": proving.ratio.middle}
    return Result(name="audit", machine=machine, figures=figures, ratios=ratios)


def _verification(trail: Path, millions: float) -> tuple[float, float]:
    """(CPU seconds, seconds) per million lines of a verification without keys."""

    def verify() -> tuple[float, float]:
        used = time.process_time()
        seconds = _seconds(lambda: _verify(trail, {}))
        return time.process_time() - used, seconds

    window = quietest(verify, windows=2)  # a minute each
    used, seconds = window.value
    return Measured.of(used / millions, window.load), Measured.of(seconds / millions, window.load)


def _verify(trail: Path, keys: CheckpointKeys) -> None:
    watcher, comparison = Watcher(keys=keys), Comparison(())
    for line, record in verified(trail):
        watcher.take(line, record)
        comparison.take(watcher, record)
    comparison.finish(watcher)
    assert not keys or sum(watcher.verified.values()) == watcher.state.checkpoints


def _search_s(index: TrailIndex, query: Query) -> float:
    """With the lines that it shows read and compared; the median of three."""

    def search() -> None:
        for found in index.rows.search(query)[1]:
            index.line(found.line)

    return median(_seconds(search) for _ in range(3))


def _proofs(index: TrailIndex, keys: CheckpointKeys) -> dict[str, float]:
    """Random lines, each proven against the first checkpoint that covers it and against the last one, and verified."""
    last = index.last_checkpoint()
    assert last is not None
    whole, chance = parse_checkpoint(last.note.encode()), random.Random(7)  # noqa: S311
    took, checked, sizes = list[float](), list[float](), list[int]()
    for number in range(_PROOFS):
        seq = chance.randrange(1, last.size + 1)
        began = time.perf_counter()
        proof = encode_proof(prove_line(index, seq, whole if number % 2 else None))
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        decoded = decode_proof(proof)
        assert isinstance(decoded, LineProof)
        assert verify_line(decoded, keys)[0].seq == seq
        checked.append(time.perf_counter() - began)
        sizes.append(len(proof) - len(decoded.line.encode()))
    return {
        "prove_ms": median(took) * 1e3,
        "prove_max_ms": max(took) * 1e3,
        "verify_proof_ms": median(checked) * 1e3,
        "proof_bytes": float(max(sizes)),
    }


def _beside_pymerkle(trail: Path, count: int) -> tuple[Paired, Paired]:
    """Leaves added a second, and proofs a second from each side's own tree of the same lines."""
    data = [line for line, _ in zip(lines(trail), range(count), strict=False)]

    def ours() -> bytes:
        tree = Frontier()
        for line in data:
            tree.append(leaf_hash(line))
        return tree.root()

    def theirs() -> InmemoryTree:
        tree = InmemoryTree(algorithm="sha256")
        for line in data:
            tree.append_entry(line)
        tree.get_state()
        return tree

    peer = theirs()
    assert ours() == peer.get_state(count)
    with tempfile.TemporaryDirectory() as name:
        part = Path(name) / "part.log"
        part.write_bytes(b"".join(data))
        with TrailIndex(part, Path(name) / "index") as index:
            index.update()
            last = index.last_checkpoint()
            assert last is not None
            whole = parse_checkpoint(last.note.encode())
            chosen = random.Random(11).sample(range(1, last.size + 1), 200)  # noqa: S311

            ours_proven = rate(len(chosen), lambda: [prove_line(index, seq, whole) for seq in chosen])
            theirs_proven = rate(len(chosen), lambda: [peer.prove_inclusion(seq, whole.size) for seq in chosen])
            return (
                paired(rate(count, ours), rate(count, theirs), pairs=3),
                paired(ours_proven, theirs_proven, pairs=3),
            )


def _rows(tree: Paired, proving: Paired) -> list[Sequence[str]]:
    pairs = {"leaves added": tree, "inclusion proofs, ours read from disk": proving}
    return [(name, one.subject.text(), one.peer.text(), one.ratio.text(2)) for name, one in pairs.items()]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
