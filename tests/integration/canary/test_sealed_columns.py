"""Values in cells of a database leave no trace outside of the job's cell: not in the app, nor in the worker.

The records are the planted ones, sealed by tedious. One job is held while all processes of the worker are searched. A
second one is run by an app of its own, a process that has nothing but ciphertext, and is searched at its end.
"""

import hmac
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyarrow import parquet

from cji_client.seal import SealedJob, seal
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.keys import load_signing_key
from cji_simulator.canary import Planted
from cji_simulator.raw import settled
from cji_simulator.scan import Canaries, ProcessScan, look_inside, scan_file, scan_process, scan_worker
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from cji_simulator.stepwise import Stepwise
from cji_simulator.tap import Tap
from tests.support.column_agency import ColumnAgency
from tests.support.sealed_tables import SealedTable, Sql
from tests.support.simulations import PATIENT

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
    pytest.mark.timeout(600),
]

ROWS = 30_000
CELL_REGION = 160 << 20
_TEXT = "Microsoft SQL Server cell {} key with encryption algorithm:AEAD_AES_256_CBC_HMAC_SHA256 and key length:256"
_RANDOMIZED = Sql("nvarchar(40)")
TABLE = SealedTable(
    file="canaries/people.csv",
    schema="person/1",
    columns={
        "last": _RANDOMIZED,
        "first": Sql("nvarchar(40)", deterministic=True),
        "SOC": Sql("varchar(40) cp1252", deterministic=True),
        "OLN": Sql("nchar(40)"),
        "SMT": Sql("nvarchar(max)"),
        "SID": Sql("varchar(max) utf-8", deterministic=True),
        "DOB": Sql("char(8) cp1252"),
        "OLY": Sql("char(8) cp1252"),
        "postcode": Sql("char(5) cp1252"),
    },
)
APP = """
import sys
from pathlib import Path
from click.testing import CliRunner
from cji_core.command import build
from cji_simulator.simulation import Simulation
state, *words = sys.argv[1:]
found = CliRunner().invoke(build(Simulation.running(Path(state)).trust), words)
print(found.exit_code, found.output.replace(chr(10), ' '), flush=True)
sys.stdin.read()
"""


@dataclass(slots=True, kw_only=True)
class Seen:
    """Everything that was searched."""

    canaries: Canaries
    inside: dict[str, set[str]] = field(default_factory=dict)
    scans: dict[str, list[ProcessScan]] = field(default_factory=dict)
    app: ProcessScan | None = None
    app_said: str = ""
    wire: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def agency(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColumnAgency]:
    folder = tmp_path_factory.mktemp("sealed-canary")
    with open_site(folder / "site", azure, settings=PATIENT) as site:
        agency = ColumnAgency(site, folder / "agency")
        agency.prepare(TABLE)
        agency.grant()
        yield agency


def key_patterns() -> dict[str, bytes]:
    """The keys of the columns, and the three that each cell is sealed with."""
    found = {}
    for name, cek in TABLE.ceks.items():
        found[f"CEK {name}"] = cek
        for which in ("encryption", "MAC", "IV"):
            found[f"{which} key {name}"] = hmac.digest(cek, _TEXT.format(which).encode("utf-16-le"), "sha256")
    return found


@pytest.fixture(scope="module")
def seen(agency: ColumnAgency, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    site, planted = agency.site, Planted.new(ROWS)
    table = TABLE.sealed(planted.table).combine_chunks()
    patterns = planted.patterns() | planted.person_patterns() | key_patterns()
    # the requestor is in the app's own job, and is searched elsewhere
    seen = Seen(canaries=Canaries({name: p for name, p in patterns.items() if not name.startswith("requestor")}))
    job = sealed(agency, planted)
    segments = list(job.seal_part(0, table))
    started = time.time()
    with Tap(site.profile.target) as tap, Stepwise(site, job, segments, target=tap.target) as run:
        run.send()
        run.finish()
        run.read_until("segment")
        look(site, seen, "during the job")
        run.read_all()
        assert run.receipt
    seen.wire = {"sent": bytes(tap.sent), "answered": bytes(tap.answered)}
    settled(site)
    look(site, seen, "after the job")
    folder = tmp_path_factory.mktemp("app")
    parquet.write_table(table, folder / "sealed.parquet")
    run_app(agency, planted, folder, seen)
    places = [site.files.folder, agency.folder, folder, Path.cwd()]
    seen.files = {str(path): scan_file(path, seen.canaries) for place in places for path in written(place, started)}
    return seen


def spec_of(agency: ColumnAgency, planted: Planted) -> JobSpec:
    columns = agency.folder / TABLE.name / "columns.toml"
    operations = planted.spec(agency.site).operations
    return agency.site.spec(
        *operations, requestor=planted.requestor, input=InputSpec(schema="person/1", columns=columns)
    )


def sealed(agency: ColumnAgency, planted: Planted) -> SealedJob:
    signing_key = load_signing_key(Path(agency.site.profile.signing_key))
    return seal(
        spec_of(agency, planted),
        kek=agency.site.kek,
        signing_key=signing_key,
        project_key=planted.project_key,
        rows=ROWS,
        encrypted={"records": tuple(sorted(TABLE.columns))},
    )


def look(site: Site, seen: Seen, moment: str) -> None:
    supervisor = site.worker.pids["supervisor"]
    seen.inside[moment] = set().union(*look_inside(supervisor, seen.canaries, size=CELL_REGION))
    seen.scans[moment] = scan_worker(site.worker.pids, seen.canaries)


def run_app(agency: ColumnAgency, planted: Planted, folder: Path, seen: Seen) -> None:
    """The command in a process of its own, which keeps the result sealed and waits to be searched."""
    (folder / "job.toml").write_text(
        '[input]\nschema = "person/1"\n[[operations]]\nkind = "validate"\nrule_set = "ncic/1"\nas_of = "2026-02-01"\n'
    )
    columns = agency.folder / TABLE.name / "columns.toml"
    words = ["job", "run", "sealed.parquet", "--spec", "job.toml", "--columns", str(columns)]
    words += ["--profile", str(agency.site.files.profile), "--save-sealed", "kept"]
    command = [sys.executable, "-c", APP, str(agency.site.simulation.state), *words]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        seen.app_said = app.stdout.readline()
        seen.app = scan_process(app.pid, seen.canaries, name="app")
        assert app.stdin is not None
        app.stdin.close()


def written(place: Path, since: float) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        folders[:] = [each for each in folders if each not in {".git", ".venv", "__pycache__", "node_modules"}]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime >= since:
                yield path


def test_the_cell_held_the_values_and_the_keys(seen: Seen) -> None:
    inside = seen.inside["during the job"]
    assert {"last utf-8", "first utf-8", "SOC utf-8", "OLN utf-8"} <= inside
    assert any(name.startswith("token ") for name in inside)


@pytest.mark.parametrize("moment", ["during the job", "after the job"])
def test_no_value_or_key_of_a_column_in_the_memory(seen: Seen, moment: str) -> None:
    scans = seen.scans[moment]
    assert len(scans) >= 6
    assert all(scan.bytes_read > 1 << 20 and not scan.refused for scan in scans)
    assert [hit for scan in scans for hit in scan.hits] == []


def test_recycled_regions_hold_no_value(seen: Seen) -> None:
    assert seen.inside["after the job"] == set()


def test_the_app_never_held_a_value(seen: Seen) -> None:
    assert seen.app_said.startswith("0 "), seen.app_said
    assert seen.app is not None
    assert seen.app.bytes_read > 50 << 20
    assert not seen.app.hits


def test_no_value_in_a_file_or_on_the_wire(seen: Seen) -> None:
    assert any(name.endswith("sealed.parquet") for name in seen.files)
    assert any("audit" in name for name in seen.files)
    assert {name: found for name, found in seen.files.items() if found} == {}
    assert len(seen.wire["sent"]) > ROWS * 9 * 65
    for way, data in seen.wire.items():
        assert not list(seen.canaries.find(data)), way
