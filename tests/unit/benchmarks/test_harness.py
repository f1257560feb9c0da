"""The benchmarks' arithmetic, and that they run what they say."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks.corpus import people, rows_of
from benchmarks.floor import Costs, crypto_cpu, segments
from benchmarks.harness import Result, Spread, paired, percentile
from benchmarks.load import fairness
from benchmarks.machine import at_most_cores, facts
from benchmarks.pipeline import COPY, DEIDENTIFY
from benchmarks.processes import CpuClock, Resident
from benchmarks.quiet import Measured
from benchmarks.report import Report
from benchmarks.stand import Usage
from cji_core.format.envelope import SEGMENT_BYTES


def test_pairs_take_turns_and_the_first_does_not_count() -> None:
    order: list[str] = []
    ours, theirs = iter([1.0, 10.0, 20.0, 30.0]), iter([100.0, 20.0, 20.0, 20.0])

    def subject() -> float:
        order.append("A")
        return next(ours)

    def peer() -> float:
        order.append("B")
        return next(theirs)

    found = paired(subject, peer, pairs=3, windows=1)
    assert "".join(order) == "ABABABAB"
    assert found.subject == Spread(middle=20.0, low=10.0, high=30.0)
    assert found.ratio == Spread(middle=1.0, low=0.5, high=1.5)


def test_ratio_is_of_neighbours_not_of_medians() -> None:
    ours, theirs = iter([1.0, 9.0, 3.0]), iter([1.0, 3.0, 9.0])
    found = paired(lambda: next(ours), lambda: next(theirs), pairs=3, warm_up=0, windows=1)
    assert found.ratio == Spread(middle=1.0, low=1 / 3, high=3.0)


@pytest.mark.parametrize(("per_cent", "value"), [(50, 100), (99, 198), (100, 200), (1, 2)])
def test_percentile_is_the_nearest_rank(per_cent: int, value: int) -> None:
    assert percentile(list(range(200, 0, -1)), per_cent) == value


def test_usage_is_per_gigabyte() -> None:
    usage = Usage()
    usage.seconds.update({"cell": 0.5})
    usage.megabytes = 250.0
    assert usage.per_gb() == {"cell": 2.0}


def test_rows_of_the_corpus_have_ids_of_their_own() -> None:
    table = people(25_000)
    assert table.num_rows == len(set(table["record_id"].to_pylist())) == 25_000
    assert table["last"][3] == table["last"][10_003]
    assert people(rows_of(4_000_000)).nbytes == pytest.approx(4_000_000, rel=0.02)


def test_both_jobs_have_a_rule_for_every_column() -> None:
    assert list(COPY) == list(DEIDENTIFY) == people(1).column_names


def test_facts_name_the_machine() -> None:
    assert {"cpu", "cores", "kernel", "python", "grpcio"} <= facts().keys()


def test_own_cpu_time_grows() -> None:
    clock = CpuClock({})
    before = clock.read()["client"]
    sum(range(1_000_000))
    assert clock.read()["client"] > before


def test_cores_are_limited_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with at_most_cores(1):
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"], stdout=-1, check=True
        )
        assert len(os.sched_getaffinity(0)) == int(child.stdout) == 1
    assert os.sched_getaffinity(0) == before


def test_floor_is_echo_and_crypto_over_the_worker() -> None:
    costs, sealed = Costs(), 32 << 20
    for spent in (9.0, 4.0, 6.0, 8.0):  # the first does not count
        job, echo = Usage(megabytes=1.0, returned=sealed), Usage(megabytes=1.0)
        job.seconds.update(dict.fromkeys(("door", "front", "cell", "keyholder"), spent / 4) | {"client": 70.0})
        echo.seconds.update({"echo": 3.0, "client": 80.0})
        costs.add(job, echo, sealed=sealed)
    crypto = costs.crypto.seconds["crypto"] / 4
    assert crypto > 0
    assert costs.ratio(slice(1, None)) == pytest.approx((3.0 + crypto) / 6.0, rel=crypto)
    assert costs.echo.per_gb()["echo"] == 3000.0


def test_crypto_takes_each_direction_by_itself() -> None:
    both, one = crypto_cpu(received=64 << 20, sent=64 << 20), crypto_cpu(received=64 << 20, sent=0)
    assert 0 < one < both
    assert [segments(n) for n in (0, 1, SEGMENT_BYTES, SEGMENT_BYTES + 1)] == [0, 1, 1, 2]


def test_fairness_is_the_smallest_share_over_its_due() -> None:
    assert fairness([50, 50]) == 1.0
    assert fairness([90, 10]) == pytest.approx(0.2)
    assert fairness([2, 1, 3]) == 0.5
    assert fairness([7, 0]) == fairness([0, 0]) == 0.0


_HOLDS_AND_FREES = """
import subprocess, sys
with subprocess.Popen(["sleep", "60"]) as child:
    block = b"x" * (64 << 20)
    print("holds", flush=True)
    input()
    del block
    print("freed", flush=True)
    input()
    child.kill()
"""


def test_resident_memory_is_that_of_a_process_and_its_children() -> None:
    command = [sys.executable, "-c", _HOLDS_AND_FREES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with Resident({"zygote": process.pid}) as resident:
            process.stdout.readline()
            held = resident.read()
            time.sleep(1)
            process.stdin.write(b"\n")
            process.stdout.readline()
            freed = resident.read()
        process.stdin.write(b"\n")
    assert held["cells"] > 0
    assert held["zygote"] - freed["zygote"] > 60
    assert resident.peak["zygote"] - freed["zygote"] > 60


def test_json_is_a_list_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(report: Report, *, quick: bool) -> Result:
        figures, growth = {"p50_ms": 2.0 if quick else 1.0}, {"seconds": [(10, 1.0), (100, 9.0)]}
        machine: dict[str, str | int] = {"cores": 1, "cpu": "x", "date": "2026-11-20"}
        ratios: dict[str, float] = {"echo": Measured.of(0.5, 0.25)}
        return Result(name="toy", machine=machine, figures=figures, ratios=ratios, growth=growth)

    monkeypatch.setattr("benchmarks.pipeline.run", run)
    target = tmp_path / "out.json"
    outcome = CliRunner().invoke(command.main, ["pipeline", "--quick", "--json", str(target)])
    assert outcome.exit_code == 0, outcome.output
    (found,) = json.loads(target.read_bytes())
    assert 0 <= found.pop("load") <= 1
    assert found == {
        "name": "toy",
        "machine": {"cores": 1, "cpu": "x", "date": "2026-11-20"},
        "figures": {"p50_ms": 2.0},
        "ratios": {"echo": 0.5},
        "growth": {"seconds": [[10, 1.0], [100, 9.0]]},
        "loads": {"echo": 0.25},
    }
    row = next(line for line in outcome.output.splitlines() if "echo" in line)
    assert row.replace("│", " ").split() == ["echo", "0.5", "25%"]


def test_help_lists_every_benchmark_and_unknown_ones_fail() -> None:
    text = CliRunner().invoke(command.main, ["--help"]).output
    assert all(name in text for name in command.BENCHMARKS)
    assert CliRunner().invoke(command.main, ["no-such"]).exit_code == 2
