"""A toy operation, added to a copy of the tree by the recipe in CONTRIBUTING.md and run by a worker of that copy."""

import hashlib
import json
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.paths import DISTRIBUTIONS, ROOT

COPIED = (*DISTRIBUTIONS, "protos")

MESSAGE = """
// Rows by the first letter of a column, beside the records.
message Tally {
  string column = 1;
}
"""
ONEOF_LINE = "    Tally tally = 99;\n"

DECLARATION = '''"""`tally`, declared: rows by the first letter of a column."""

import pyarrow as pa

from cji_core.operations.declaration import Operation, OutputSpec, Signature
from cji_core.operations.parameters import Name, Parameters, decoded
from cji_core.operations.status_codes import RowCode
from cji_core.format.records import DataClass, RecordSchema, columns
from cji_core.format.records.declared import UINT64, UTF8
from cji_core.wire.v1 import worker_pb2 as pb


class Code(RowCode):
    """What is not counted."""

    NO_LETTER = 991, "The value is missing."


class Tally(Parameters, frozen=True, kw_only=True, tag="tally"):
    """The column whose first letters count."""

    column: Name


TALLY_OUTPUT = OutputSpec(
    name="tally",
    schema=RecordSchema.output(
        "tally/1", columns(DataClass.CASE, "letter", UTF8), columns(DataClass.CASE, "rows", UINT64)
    ),
)

TALLY = Operation(
    parameters=Tally,
    decode=lambda message: decoded(Tally, {"column": message.column}),
    encode=lambda parameters: pb.Tally(column=parameters.column),
    signature=lambda _: Signature(accepts=frozenset(("person/1",)), parts=(TALLY_OUTPUT,)),
    schemas=(TALLY_OUTPUT.schema,),
    codes=Code,
)
'''

FOLDER = {
    "__init__.py": '"""`tally`: rows by the first letter of a column."""\n',
    "operation.py": '''"""`tally` as an operation: the records, and in the part `tally` a row for each first letter."""

from collections import Counter

import numpy as np
import pyarrow as pa

from cji_operations.operation import Applied, Case, Implementation
from cji_core.operations.tally import TALLY, TALLY_OUTPUT, Code, Tally
from cji_core.format.records import RowStatus, Status


class Tallying:
    def __init__(self, parameters, schema):
        self.column, self.output_schema, self.counts = schema.get_field_index(parameters.column), schema, Counter()

    @property
    def sources(self):
        return np.arange(len(self.output_schema), dtype=np.int16)

    def apply(self, batch):
        values = batch.column(self.column).to_pylist()
        self.counts.update(value[0] for value in values if value)
        missing = np.flatnonzero([not value for value in values])
        status = RowStatus.all_ok(len(values))
        return Applied(batch=batch, status=status.found(missing, status=Status.WARNED, code=Code.NO_LETTER))

    def finish(self):
        letters = sorted(self.counts)
        rows = pa.array([self.counts[letter] for letter in letters], pa.uint64())
        batch = pa.RecordBatch.from_arrays([pa.array(letters, pa.utf8()), rows], schema=TALLY_OUTPUT.schema.arrow)
        return {"tally": [batch]}


IMPLEMENTATION = Implementation(
    operation=TALLY,
    prepare=lambda parameters, _schema_id, schema, _context: Tallying(parameters, schema),
    self_test=(Case(schema="person/1", row={"last": "DOE"}, parameters=Tally(column="last")),),
)
''',
}

RUN = """
import json, sys
from pathlib import Path

import msgspec
import pyarrow as pa
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site
from click.testing import CliRunner
from cji_core.command import build
from cji_client.errors import SpecError
from cji_core.operations.registry import AnyParameters, CODES

folder = Path(sys.argv[1])
tally = msgspec.convert({"kind": "tally", "column": "last"}, AnyParameters)
shown = CliRunner().invoke(build(), ["schema", "show", "tally/1", "--json"])
with Simulation(folder / "azure") as azure, open_site(folder / "site", azure) as site:
    with site.client() as client:
        offered = list(client.describe().operations)
    out = site.open(site.run(pa.table({"last": ["DOE", "DAY", None, "ROE"]}), site.spec(tally)))
    try:
        site.seal(site.spec(tally, input=msgspec.structs.replace(site.spec().input, schema="chri_event/1")))
        refused = ""
    except SpecError as error:
        refused = str(error)
print(json.dumps({
    "file": sys.modules["cji_worker"].__file__,
    "offered": "tally" in offered,
    "schema": [column["name"] for column in json.loads(shown.stdout)["columns"]],
    "code": CODES[991].meaning,
    "result": out["result"]["last"].to_pylist(),
    "status": out["row_status"]["status"].to_pylist(),
    "tally": out["tally"].to_pylist(),
    "refused": refused,
}))
"""


def add_by_the_recipe(copy: Path) -> None:
    """The steps of "Add an operation", without those that write documentation and tests."""
    proto = copy / "protos/cji/worker/v1/worker.proto"
    last = "    Clear clear = 7;\n"
    text = proto.read_text()
    assert last in text
    proto.write_text(text.replace(last, last + ONEOF_LINE) + MESSAGE)
    (copy / "core/cji_core/operations/tally.py").write_text(DECLARATION)
    folder = copy / "operations/cji_operations/tally"
    folder.mkdir()
    for name, source in FOLDER.items():
        (folder / name).write_text(source)
    declared = "from cji_core.operations.tally import TALLY"
    add_line(
        copy / "core/cji_core/operations/registry.py",
        "cji_core.operations.validate",
        declared,
        after="CLEAR",
        line="TALLY",
    )
    computes = "from cji_operations.tally import operation as tally"
    name = "IMPLEMENTATION"
    add_line(
        copy / "operations/cji_operations/registry.py",
        "cji_operations.validate",
        computes,
        after=f"clear.{name}",
        line=f"tally.{name}",
    )


def add_line(registry: Path, before: str, imported: str, *, after: str, line: str) -> None:
    """One line in a registry, and its import."""
    text = registry.read_text()
    assert f"from {before} import" in text
    assert f"            {after},\n" in text
    text = text.replace(f"from {before} import", f"{imported}\nfrom {before} import", 1)
    registry.write_text(text.replace(f"            {after},\n", f"            {after},\n            {line},\n", 1))


def interpreter(copy: Path) -> Path:
    """A Python that imports the copy; a worker's processes get no environment that could tell them."""
    venv.create(copy / "venv", symlinks=True)
    packages = copy / "venv/lib" / Path(sysconfig.get_path("purelib")).parts[-2] / "site-packages"
    paths = (*(copy / name for name in DISTRIBUTIONS), Path(sysconfig.get_path("purelib")))
    (packages / "copy.pth").write_text("".join(f"{path}\n" for path in paths))
    return copy / "venv/bin/python"


def digests(copy: Path) -> dict[str, str]:
    return {
        str(path.relative_to(copy)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in COPIED
        for path in (copy / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_operation_is_a_message_a_folder_and_a_line(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for top in COPIED:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__", ".demo", "*.egg-info"))
    python, before = interpreter(copy), digests(copy)
    add_by_the_recipe(copy)
    subprocess.run([python, "protos/generate.py"], cwd=copy, check=True, timeout=60)
    subprocess.run([python, "protos/generate.py", "--check"], cwd=copy, check=True, timeout=60)
    after = digests(copy)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {
        "protos/cji/worker/v1/worker.proto",
        "protos/worker.binpb",
        "core/cji_core/wire/v1/worker_pb2.py",
        "core/cji_core/wire/v1/worker_pb2.pyi",
        "core/cji_core/operations/registry.py",
        "core/cji_core/operations/tally.py",
        "operations/cji_operations/registry.py",
        *(f"operations/cji_operations/tally/{name}" for name in FOLDER),
    }
    ran = subprocess.run(
        [python, "-c", RUN, tmp_path], cwd=copy, capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found == {
        "file": str(copy / "worker/cji_worker/__init__.py"),
        "offered": True,
        "schema": ["letter", "rows"],
        "code": "The value is missing.",
        "result": ["DOE", "DAY", None, "ROE"],
        "status": [0, 0, 1, 0],
        "tally": [{"letter": "D", "rows": 2}, {"letter": "R", "rows": 1}],
        "refused": "tally: not possible with the input schema 'chri_event/1'",
    }
