"""The door of the SDK: few names, and the README's program is typed against them."""

import re
import subprocess
import sys
from pathlib import Path

import cji_client
from tests.support.paths import ROOT


def program() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return str(block)


def test_door_leads_with_few_names_in_order() -> None:
    names = cji_client.__all__
    assert len(names) <= 25
    assert len(set(names)) == len(names)
    assert all(hasattr(cji_client, name) for name in names)


def test_readme_program_passes_mypy_strict(tmp_path: Path) -> None:
    """Checked outside the tree, as in an app: types come from the installed packages, by their `py.typed`."""
    (tmp_path / "app.py").write_text(program())
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


USER = """
import asyncio

from cji_client import {names}
from cji_client.charts import Chart
from cji_client.job import Job
from cji_client.retry import RetryPolicy


def show(event: Progress) -> None:
    phase: Phase = event.phase
    print(phase.value, event.rows, event.bytes, event.per_cent)


def run(profile: ClientProfile, records: object, spec: JobSpec) -> list[Chart]:
    callback: ProgressCallback = show
    with connect(profile, retry=RetryPolicy(seconds=60)) as worker:
        job: Job = worker.submit("people.csv", spec, progress=callback)
        print(job.id, job.status().state.final)
        with job.result(60) as result:
            opened: OpenedResult = result
            sealed: Result = opened.sealed
            sealed.save("people.result")
            return [result.chart.weights(), result.chart.waterfall(0)]


async def several(profile: str) -> None:
    stop = Cancellation()
    async with connect_async(profile) as worker:
        found: AsyncConnection = worker
        with await found.run("people.csv", {{"operations": []}}, cancellation=stop) as result:
            print(result.names)
            frame: int = result.polars()  # type: ignore[assignment]  # a frame has a type; this line is an error


def offline(folder: JobFolder, signer: Signer, decrypter: Decrypter, rule: Transform) -> None:
    try:
        load_job(folder.folder)
        load_spec("job.toml")
        load_profile("client.toml")
    except (SpecError, Unverified, WorkerRefused) as error:
        print(error, error.remedy)
    except ClientError as error:
        print(error.retryable)
    print(save_job, load_result, Connection, signer, decrypter, rule)


asyncio.run(several("client.toml"))
"""


def test_users_pass_mypy_strict(tmp_path: Path) -> None:
    """The programs of examples/client, and one that uses every public name, in one run."""
    (tmp_path / "user.py").write_text(USER.format(names=", ".join(cji_client.__all__)))
    for name in cji_client.__all__:
        assert USER.count(name), name
    for example in (ROOT / "examples/client").glob("*.py"):
        (tmp_path / example.name).write_text(example.read_text())
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")]
    command += ["--disable-error-code", "import-untyped", *files]  # an example imports pyarrow, which has no types
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
