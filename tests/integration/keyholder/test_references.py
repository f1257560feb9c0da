"""References of `screen` that outlive their job: who gets them, for how long, and what is left of them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cji_client.errors import SpecError, WorkerRefused
from cji_client.result import Result
from cji_client.spec import InputSpec, JobSpec, SideSpec
from cji_core.operations.screen import Screen
from cji_core.trail import ReferenceDropped, ReferenceRetained, read
from cji_simulator.scan import Canaries, look_inside
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site

REFERENCE_MIB = 32
SIDES = {"reference": SideSpec(schema="hotfile/1", file=Path("hotfile.csv"))}
NAMES = ("ROE", "DOE", "MOE", "POE", "LOWE")


@pytest.fixture(scope="module")
def keeper(azure: Simulation, state: Path) -> Iterator[Site]:
    """A worker with one reference slot, and cells for references that are too large for it."""
    with open_site(state / "keeper", azure, cell_mib=256, reference_mib=REFERENCE_MIB) as opened:
        yield opened


def reference(rows: int = 1000, *, tag: str = "") -> pa.Table:
    numbers = range(rows)
    return pa.table(
        {
            "NAM": [f"{NAMES[i % 5]}{tag}, RICHARD{i // 5 % 7}" for i in numbers],
            "SEX": ["M"] * rows,
            "RAC": ["W"] * rows,
            "DOB": [f"{1950 + i % 40}0{1 + i % 9}15" for i in numbers],
            "SOC": [f"{100_000_000 + i}" for i in numbers],
            "NIC": [f"W{tag}{i:09d}" for i in numbers],
            "file_code": ["W"] * rows,
        }
    )


def inquiries(rows: int) -> pa.Table:
    """Of the first records, by what a hot file tells of a person, and one that cannot be asked."""
    known = reference(rows).select(["NAM", "SEX", "RAC", "DOB"])
    return pa.concat_tables([known, pa.table({name: pa.array([None], pa.utf8()) for name in known.column_names})])


def asking(site: Site, **changes: Any) -> JobSpec:
    """A job that brings a reference unless it names one."""
    screen = Screen(**changes)
    sides = {} if screen.resident_reference else SIDES
    return site.spec(screen, input=InputSpec(schema="person/1"), sides=sides)


def held_by(site: Site, *, tag: str = "", rows: int = 1000, seconds: int = 600) -> tuple[str, Result]:
    """(digest of a reference that is held from now on, the result of the job that brought it)."""
    result = site.run(
        inquiries(300), asking(site, retain_seconds=seconds), sides={"reference": reference(rows, tag=tag)}
    )
    (digest,) = [part.sha256 for part in result.receipt.claims.inputs if part.name == "reference"]
    return digest, result


def refused(site: Site, **changes: Any) -> str:
    spec = asking(site, **changes)
    with pytest.raises(WorkerRefused) as refusal:
        site.run(inquiries(1), spec, sides={"reference": reference()} if spec.sides else None)
    return refusal.value.reason.value


def dropped(site: Site, digest: str) -> list[str]:
    """Why the reference went."""
    lines = site.files.audit.read_bytes().splitlines(keepends=True)
    events = [read(line).event for line in lines]
    assert any(isinstance(event, ReferenceRetained) and event.sha256 == digest for event in events)
    return [event.cause for event in events if isinstance(event, ReferenceDropped) and event.sha256 == digest]


def until_dropped(site: Site, digest: str) -> str:
    end = time.monotonic() + 60
    while not (causes := dropped(site, digest)) and time.monotonic() < end:
        time.sleep(0.1)
    (cause,) = causes
    return cause


def inside(site: Site, *names: str) -> set[str]:
    """Which of these texts lie in the reference slot."""
    canaries = Canaries({name: name.encode() for name in names})
    (found,) = look_inside(site.worker.pids["supervisor"], canaries, size=REFERENCE_MIB << 20)
    return found


def test_a_resident_reference_gives_the_answers_of_a_sent_one(keeper: Site) -> None:
    digest, first = held_by(keeper)
    brought = keeper.open(first)
    assert brought["hits"].num_rows >= 300
    for screen in ({}, {"status_only": True}, {"preset": "iii_qh", "max_hits": 3}):
        found = keeper.open(keeper.run(inquiries(300), asking(keeper, resident_reference=digest, **screen)))
        assert list(found) == ["result", "row_status", "hits"]
        whole = keeper.run(inquiries(300), asking(keeper, **screen), sides={"reference": reference()})
        expected = keeper.open(whole)
        assert list(expected) == ["result", "row_status", "hits", "reference_status"]
        assert all(found[name].equals(expected[name]) for name in found)
    assert not dropped(keeper, digest)


def test_it_is_not_held_unless_asked_for(keeper: Site) -> None:
    spec = asking(keeper)
    result = keeper.run(inquiries(1), spec, sides={"reference": reference()})
    (digest,) = [part.sha256 for part in result.receipt.claims.inputs if part.name == "reference"]
    assert refused(keeper, resident_reference=digest) == "UNKNOWN_REFERENCE"


def test_another_reference_of_the_same_submitter_takes_its_place(keeper: Site) -> None:
    """The first asked is OVERLOADED, which the client tries again: the slot is wiped meanwhile."""
    before, _ = held_by(keeper)
    after, _ = held_by(keeper, tag="S")
    assert until_dropped(keeper, before) == "replaced"
    assert refused(keeper, resident_reference=before) == "UNKNOWN_REFERENCE"
    found = keeper.open(keeper.run(inquiries(300), asking(keeper, resident_reference=after)))
    assert found["result"]["outcome"].to_pylist()[-1] == "not_screenable"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="looking into secret memory needs root")
def test_when_its_time_is_over_it_is_wiped(keeper: Site) -> None:
    digest, _ = held_by(keeper, tag="WELL", seconds=2)
    some = [f"WWELL{i:09d}" for i in range(0, 1000, 100)]
    assert inside(keeper, *some) == set(some)
    assert until_dropped(keeper, digest) == "expired"
    assert refused(keeper, resident_reference=digest) == "UNKNOWN_REFERENCE"
    end = time.monotonic() + 60
    while (left := inside(keeper, *some)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == set()


def test_a_reference_too_large_for_its_slot_leaves_it_free(keeper: Site) -> None:
    rows = 145_000
    large = reference(rows).append_column("OCA", pa.array(["X" * 100] * rows))
    with pytest.raises(WorkerRefused) as refusal:
        keeper.run(inquiries(1), asking(keeper, retain_seconds=60), sides={"reference": large})
    assert refusal.value.reason.value == "LIMIT_EXCEEDED"
    keeper.run(inquiries(1), asking(keeper), sides={"reference": large})  # not to be held, it is no trouble
    digest, _ = held_by(keeper, seconds=1)
    until_dropped(keeper, digest)


def test_nobody_holds_it_for_longer_than_the_worker_allows(keeper: Site) -> None:
    assert refused(keeper, retain_seconds=3601) == "LIMIT_EXCEEDED"
    with keeper.client() as client:
        limits = client.describe().limits
    assert (limits.references, limits.reference_retain_seconds) == (1, 3600)


def test_a_worker_without_a_reference_slot_retains_none(azure: Simulation, state: Path) -> None:
    with open_site(state / "forgetful", azure, reference_mib=0) as site:
        assert refused(site, retain_seconds=1) == "LIMIT_EXCEEDED"
        assert refused(site, resident_reference="0" * 64) == "UNKNOWN_REFERENCE"
        with site.client() as client:
            assert client.describe().limits.references == 0


def test_a_reference_is_brought_or_named(keeper: Site) -> None:
    named = keeper.spec(Screen(resident_reference="0" * 64), input=InputSpec(schema="person/1"), sides=SIDES)
    neither = keeper.spec(Screen(), input=InputSpec(schema="person/1"))
    for spec in (named, neither):
        with pytest.raises(SpecError):
            keeper.seal(spec)
    with pytest.raises(ValueError, match="resident already"):
        Screen(retain_seconds=1, resident_reference="0" * 64)
