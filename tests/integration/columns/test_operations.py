"""Every operation on a table whose person columns tedious has sealed: the outputs of the same job on plain records.

So do documents that @azure/cosmos has sealed, sealed side tables and jobs in parts. The agency's steps are the real
commands. All outputs are compared byte by byte, but for the ledger of `disseminate`, which names its job.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cji_client.columns.documents import Documents
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site
from tests.support.always_encrypted import Tedious
from tests.support.column_agency import ColumnAgency
from tests.support.paths import ROOT
from tests.support.sealed_documents import CONTAINERS, Container
from tests.support.sealed_tables import TABLES

_FOLDERS = {"validate": "persons"}
"""Of examples/, where it has another name than the operation."""
OPERATIONS = [name for name in TABLES if name != "screen_reference"]
RETURNED = """
[[columns]]
name = "{name}"
record = "PersonCluster"
type = "{type}"
encryption = "randomized"
key = "{key}"
rights = ["seal"]
data_class = "control number"
"""
"""An encrypted column that no record schema has, for results."""


@pytest.fixture(scope="module")
def agency(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColumnAgency]:
    """A worker whose policy grants the statements of all tables and containers."""
    folder = tmp_path_factory.mktemp("columns")
    with open_site(folder / "site", azure) as site:
        agency = ColumnAgency(site, folder / "agency")
        for table in TABLES.values():
            agency.prepare(table)
        for container in CONTAINERS.values():
            agency.prepare_container(container)
        agency.grant()
        yield agency


@pytest.fixture(scope="module")
def specs(agency: ColumnAgency) -> Path:
    """examples/ in a folder of its own, with the project key and the rules that their page makes."""
    folder = agency.folder / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("study.json", "rules.toml"))
    agency.cji("key", "project", "study", str(folder / "deidentify/study.json"))
    agency.cji("clear", "example", str(folder / "clear/rules.toml"))
    return folder


def spec_of(specs: Path, operation: str) -> Path:
    return specs / _FOLDERS.get(operation, operation) / "job.toml"


def renamed(spec: Path, container: Container, name: str) -> Path:
    """The spec with the leaves of documents that are sent in clear."""
    clear = ", ".join(f'"{leaf.path}" = "{column}"' for column, leaf in container.clear.items())
    spec.with_name(name).write_text(spec.read_text().replace("[input]\n", f"[input]\nrename = {{ {clear} }}\n", 1))
    return spec.with_name(name)


def run(agency: ColumnAgency, name: str, records: Path, spec: Path, *options: str) -> dict[str, bytes]:
    """The opened outputs of a job."""
    out = agency.folder / name / "o.parquet"
    out.parent.mkdir()
    profile = str(agency.site.files.profile)
    agency.cji("job", "run", str(records), "--spec", str(spec), "--profile", profile, "--out", str(out), *options)
    return {path.name: path.read_bytes() for path in out.parent.glob("*.parquet") if "ledger" not in path.name}


def require_equal(wanted: dict[str, bytes], found: dict[str, bytes]) -> None:
    assert {"o.parquet", "o.row_status.parquet"} <= wanted.keys() == found.keys()
    assert [name for name in wanted if wanted[name] != found[name]] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_sealed_equals_plain(agency: ColumnAgency, specs: Path, operation: str) -> None:
    table, spec = TABLES[operation], spec_of(specs, operation)
    plain, sealed = table.write(agency.folder / f"tables/{operation}")
    columns = agency.folder / table.name / "columns.toml"
    require_equal(
        run(agency, f"{operation}-plain", plain, spec),
        run(agency, f"{operation}-sealed", sealed, spec, "--columns", str(columns)),
    )


@pytest.mark.parametrize("operation", CONTAINERS)
def test_sealed_documents_equal_plain(agency: ColumnAgency, specs: Path, operation: str) -> None:
    """Leaves of documents that the SDK sealed: text, whole numbers and truth values, at every depth."""
    container, spec = CONTAINERS[operation], spec_of(specs, operation)
    folder = agency.folder / container.name.replace("/", "-")
    documents = container.write(folder, agency.cosmos(), agency.client_keys(container))
    sealed, columns = renamed(spec, container, "documents.toml"), str(folder / "columns.toml")
    plain = folder / "plain.parquet"
    parquet.write_table(container.plain(), plain)
    require_equal(
        run(agency, f"documents-{operation}-plain", plain, spec),
        run(agency, f"documents-{operation}-sealed", documents, sealed, "--columns", columns),
    )


def test_a_sealed_side_table_equals_a_plain_one(agency: ColumnAgency, specs: Path) -> None:
    inquiries, reference, spec = TABLES["screen"], TABLES["screen_reference"], spec_of(specs, "screen")
    plain, sealed = inquiries.write(agency.folder / "tables/screen-side")
    _, hotfile = reference.write(agency.folder / "tables/hotfile")
    columns = [agency.folder / table.name / "columns.toml" for table in (inquiries, reference)]
    text = spec.read_text().replace("retain_seconds = 600\n", "")  # no reference with sealed columns stays resident
    spec.with_name("plain.toml").write_text(text)
    text = text.replace('"hotfile.csv"', f'"{hotfile}"\ncolumns = "{columns[1]}"')
    spec.with_name("sealed.toml").write_text(text)
    require_equal(
        run(agency, "side-plain", plain, spec.with_name("plain.toml")),
        run(agency, "side-sealed", sealed, spec.with_name("sealed.toml"), "--columns", str(columns[0])),
    )


def test_sealed_shards_equal_plain_ones(agency: ColumnAgency, specs: Path) -> None:
    table, spec = TABLES["link"], spec_of(specs, "link")
    plain, sealed = table.write(agency.folder / "tables/shards")
    shards = spec.with_name("shards.toml")
    shards.write_text(f"shards = 3\n{spec.read_text()}")
    columns = agency.folder / table.name / "columns.toml"
    require_equal(
        run(agency, "shards-plain", plain, shards),
        run(agency, "shards-sealed", sealed, shards, "--columns", str(columns)),
    )


@pytest.fixture(scope="module")
def linked(agency: ColumnAgency, specs: Path) -> pa.Table:
    """The result of `link` on plain records."""
    plain, _ = TABLES["link"].write(agency.folder / "tables/linked")
    run(agency, "linked", plain, spec_of(specs, "link"))
    return parquet.read_table(agency.folder / "linked/o.parquet")


def test_tedious_opens_the_result_that_goes_back(agency: ColumnAgency, specs: Path, linked: pa.Table) -> None:
    table = replace(TABLES["link"], database="back", ceks={})
    added = RETURNED.format(name="Person_Cluster", type="bigint", key="CEK_control_number")
    columns = agency.prepare(table, added=added, results=[("result", "cluster", "PersonCluster")])
    agency.grant()
    _, sealed = table.write(agency.folder / "tables/back")
    run(agency, "back", sealed, spec_of(specs, "link"), "--columns", str(columns))
    result = parquet.read_table(agency.folder / "back/o.parquet")
    assert result["cluster"].type == pa.binary()
    clusters = Tedious().open("bigint", result["cluster"].to_pylist(), table.cek("record_id"))
    assert clusters == [str(value) for value in linked["cluster"].to_pylist()]
    assert result.drop_columns("cluster").equals(linked.drop_columns("cluster"))


def test_cosmos_opens_the_result_that_goes_back(agency: ColumnAgency, specs: Path, linked: pa.Table) -> None:
    container = replace(CONTAINERS["link"], database="back", ceks={})
    added = RETURNED.format(name="/name/cluster", type="long", key="cek-biographic")
    columns = agency.prepare_container(container, added=added, results=[("result", "cluster", "PersonCluster")])
    agency.grant()
    keys = agency.client_keys(container)
    path = container.write(columns.parent, agency.cosmos(), keys)
    spec = renamed(spec_of(specs, "link"), container, "documents-back.toml")
    run(agency, "documents-back", path, spec, "--columns", str(columns))
    batches = parquet.read_table(agency.folder / "documents-back/o.parquet").to_batches()
    sealed = [json.loads(line) for line in path.read_text().splitlines()]
    written = list(Documents(sealed, columns, plain=("/id",)).put(batches, key="record_id"))
    opened = agency.cosmos().open(written, container.policy, keys)
    clusters = linked["cluster"].to_pylist()
    wanted = zip(container.documents(), clusters, strict=True)
    assert opened == [{**each, "name": {**each["name"], "cluster": cluster}} for each, cluster in wanted]
