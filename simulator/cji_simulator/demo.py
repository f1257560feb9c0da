"""The whole product once, on made-up persons: attest, release a key, run a sealed job, verify its receipt.

The services of Azure are this package's; worker, SDK and cryptography are those of production. All that the demo writes
stays in its folder, so every step can be looked at.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv
from rich import progress as bars
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from cji_attestation import AZURE_US
from cji_attestation.attested import AttestedWorker, verify_attestation
from cji_client.errors import Unverified
from cji_client.files import read_file
from cji_client.progress import Phase, Progress
from cji_client.result import Result
from cji_client.seal import INPUT_NAME, seal
from cji_client.sources import fit
from cji_client.spec import load_spec
from cji_core.format.keys import ProjectKey, load_project_key, load_signing_key, new_project_key, save_project_key
from cji_core.jose import key_id, public_jwk
from cji_core.trail import Expected, KeyReleased, ReceiptError, verify_receipt
from cji_core.trail.chain import read
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import AUDIENCE
from cji_simulator.made_up import made_up_file
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from cji_simulator.worker import memory_kind

__all__ = ["run_demo"]

_PROJECT: Final = "demo"
_ROWS: Final = 10_000
_SHOWN_ROWS: Final = 4
_SHOWN_COLUMNS: Final = ("record_id", "first", "last", "DOB", "SOC", "postcode", "state")
_RENAME: Final = {
    "rec_id": "record_id",
    "given_name": "first",
    "surname": "last",
    "date_of_birth": "DOB",
    "soc_sec_id": "SOC",
}
_COLUMNS: Final = """\
record_id = { do = "hmac_token", domain = "record", bits = 128 }     # joins inside the project, opens nothing
first = "drop"
last = "drop"
street_number = "null"
address_1 = "drop"
suburb = "drop"
postcode = { do = "mask", keep_first = 2, with = "*" }
state = "keep"
DOB = { do = "date_shift", subject_column = "record_id", max_days = 30 }   # one secret shift for each subject
SOC = { do = "hmac_token", domain = "soc", bits = 128 }
"""


def run_demo(folder: Path, console: Console) -> None:
    """Run it; raises what goes wrong. The worker of an earlier run is removed: its trail is of another vTPM."""
    shutil.rmtree(folder / "site", ignore_errors=True)
    console.print(Panel.fit("cji-worker: sealed records in, sealed results and a receipt out", style="bold"))
    _step(console, 1, "Starting attestation service, key vault, metadata service and vTPM on this machine")
    started = time.perf_counter()
    with Simulation(folder / "azure") as azure:
        console.print(f"   {azure.maa_url}  {azure.vault_url}  {azure.machine.tcti}", style="dim")
        _step(console, 2, "Starting the worker: it attests this machine and has the customer's key released")
        with open_site(folder / "site", azure) as site:
            seconds = time.perf_counter() - started
            console.print(f"   serving on port {site.worker.port} after {seconds:.1f} s", style="dim")
            if memory_kind() == "ordinary":
                console.print(
                    "   [yellow]in ordinary memory:[/] this user may not lock enough for memfd_secret. A worker in"
                    " production would refuse; for the demo raise it (ulimit -l, as root) or run as root."
                )
            _session(folder, site, console)
    console.print(f"\nEverything it wrote is in [bold]{folder}[/]. The worker is drained and gone.")


def _session(folder: Path, site: Site, console: Console) -> None:
    with site.client() as client:
        _step(console, 3, "Asking the worker to prove itself, for a nonce of ours")
        attested = client.attest()
        _show_attested(attested, site, console)
        kek = client.describe().pin(site.cmk.kek_id, thumbprint=site.cmk.public_thumbprint)

        _step(console, 4, "Sealing and running the job")
        csv, spec_file = _write_job(folder, site)
        spec = load_spec(spec_file)
        source = fit(read_file(csv, spec.input), spec.input)
        project = _project_key(folder / "demo.project.json", _PROJECT)
        with _bar(console) as progress:
            sealed_bytes = progress.add_task("sealed job", total=csv.stat().st_size)

            def report(event: Progress) -> None:
                if event.phase is Phase.SENDING:
                    progress.update(sealed_bytes, completed=event.bytes)

            clock = time.perf_counter()
            job = seal(
                spec,
                kek=kek,
                signing_key=load_signing_key(Path(site.profile.signing_key)),
                project_key=project,
                rows=source.rows,
            )
            result = client.run(
                job, {INPUT_NAME: source}, attested=attested, deadline=spec.deadline_seconds, progress=report
            )
            seconds = time.perf_counter() - clock
            progress.update(sealed_bytes, completed=csv.stat().st_size)
        volumes = result.receipt.claims.volumes
        console.print(
            f"   {volumes.rows_in:,} rows, {volumes.bytes_in / 1e6:.2f} MB sealed in, {volumes.bytes_out / 1e6:.2f} MB"
            f" sealed out, {seconds * 1000:.0f} ms ({volumes.bytes_in / 1e6 / seconds:.0f} MB/s; a job this small is"
            " mostly latency, `make bench` measures throughput)"
        )
        _step(console, 5, "Opening the result with the recipient's key; both sides of it exist only here")
        _show_rows(console, source.open().batches, site.open(result)["result"])
        (folder / "receipt.jws").write_text(result.receipt.compact)
        (folder / "evidence.json").write_bytes(attested.to_file())
        _step(console, 6, "The receipt verified before the result was opened. It says")
        _show_receipt(result, console)
        _step(console, 7, "What is simulated cannot pass for real")
        _show_refusals(result, attested, site, console)


def _project_key(path: Path, project: str) -> ProjectKey:
    """The key of an earlier run, so that its tokens join; or a new one."""
    if not path.exists():
        save_project_key(new_project_key(project), path)
    return load_project_key(path)


def _step(console: Console, number: int, text: str) -> None:
    console.print(f"\n[bold cyan]{number}[/] {text}")


def _bar(console: Console) -> bars.Progress:
    columns = bars.TextColumn("   {task.description}"), bars.BarColumn(), bars.TaskProgressColumn()
    return bars.Progress(*columns, console=console)


def _write_job(folder: Path, site: Site) -> tuple[Path, Path]:
    """`people.csv`, and the job spec beside it."""
    csv, spec = folder / "people.csv", folder / "job.toml"
    pyarrow.csv.write_csv(made_up_file(_ROWS), csv)
    (folder / "recipient.jwk").write_text(public_jwk(site.recipient.public_key()))
    head = {
        "audience": AUDIENCE,
        "originating_ori": "GA0600000",
        "requesting_ori": "GA0600000",
        "operator_id": "demo",
        "requestor": "Research desk",
        "reason": "Extract for a linkage study",
        "purpose_code": "C",
        "kek_id": site.cmk.kek_id,
        "kek_thumbprint": site.cmk.public_thumbprint,
        "deadline_seconds": 120,
    }
    rename = ", ".join(f"{old} = {json.dumps(new)}" for old, new in _RENAME.items())
    spec.write_text(
        "".join(f"{key} = {json.dumps(value)}\n" for key, value in head.items())
        + 'recipients = ["recipient.jwk"]\n\n'
        + f'[input]\nschema = "person/1"\nrename = {{ {rename} }}\n\n'
        + f'[[operations]]\nkind = "deidentify"\nproject = "{_PROJECT}"\nproject_key = "demo.project.json"\n\n'
        + f"[operations.columns]\n{_COLUMNS}"
    )
    return csv, spec


def _show_attested(attested: AttestedWorker, site: Site, console: Console) -> None:
    verdict = attested.verdict
    events = (read(line).event for line in site.files.audit.read_bytes().splitlines(keepends=True))
    *_, released = (event for event in events if isinstance(event, KeyReleased))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 3))
    table.add_row("hardware", f"AMD SEV-SNP, {verdict.product} (simulated roots), VMPL {verdict.vmpl}")
    table.add_row("measurement", verdict.measurement.hex()[:32] + "…")
    levels = dataclasses.asdict(verdict.tcb)
    table.add_row("TCB", f"bootloader {levels['bootloader']}, SNP {levels['snp']}, microcode {levels['microcode']}")
    table.add_row("our checks", ", ".join(check for check, _ in verdict.checks))
    table.add_row("second verdict", f"token of {site.simulation.maa_url}, for the same machine")
    table.add_row("released key", released.kek_id)
    table.add_row("receipt key", f"{key_id(attested.receipt_key)}, inside the TPM quote")
    console.print(table)


def _show_rows(console: Console, before: Iterable[pa.RecordBatch], after: pa.Table) -> None:
    for title, rows in (("before", pa.Table.from_batches(before)), ("after", after)):
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        names = [name for name in _SHOWN_COLUMNS if name in rows.column_names]
        for name in names:
            table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=14)
        for row in rows.select(names).slice(0, _SHOWN_ROWS).to_pylist():
            table.add_row(*("·" if value is None else str(value) for value in row.values()))
        console.print(table)


def _show_receipt(result: Result, console: Console) -> None:
    claims = result.receipt.claims
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 3))
    table.add_row("job", claims.job_id)
    table.add_row("for", f"{claims.submitter}, {claims.requesting_ori}, purpose {claims.purpose_code}")
    table.add_row("did", ", ".join(claims.operations))
    table.add_row("volumes", f"{claims.volumes.rows_in:,} rows in, {claims.volumes.rows_out:,} rows out, counted")
    table.add_row("outputs", ", ".join(f"{part.name} sha256 {part.sha256[:12]}…" for part in claims.outputs))
    table.add_row("policy, code", f"{claims.policy_sha384[:12]}…, {claims.code_sha384[:12]}…")
    table.add_row("sequence", f"{claims.sequence}, after {claims.previous_sha384[:12]}…")
    table.add_row("TLS", f"{claims.transport.protocol}, {claims.transport.cipher}, {claims.transport.bits} bits")
    table.add_row("FIPS, simulated", f"{claims.fips.mode}, {str(claims.simulated).lower()}")
    console.print(table)


def _show_refusals(result: Result, attested: AttestedWorker, site: Site, console: Console) -> None:
    try:
        verify_receipt(result.receipt.compact, key=attested.receipt_key, expected=Expected(simulated=False))
    except ReceiptError as error:
        console.print(f"   a production reader refuses this receipt: [yellow]{error}[/]")
    try:
        verify_attestation(
            pb.AttestResponse(
                evidence=attested.shown.evidence,
                maa_token=attested.maa_token,
                receipt_jwk=attested.receipt_jwk,
                token_evidence=attested.shown.token_evidence,
                token_nonce=attested.shown.token_nonce,
            ),
            nonce=attested.shown.nonce,
            trust=AZURE_US,
            reference=site.profile.reference,
            maa_url="https://sharedeus2.eus2.attest.azure.net",
        )
    except Unverified as error:
        console.print(f"   production roots refuse this evidence: [yellow]{error}[/]")
