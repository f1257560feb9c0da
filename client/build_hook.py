"""Divides one source tree between two wheels: `cji-client` has the rooms below, `cji-worker` has all the others.

A room is a file or a whole folder of the repository. Together they import nothing outside of them but the libraries of
client/pyproject.toml, and nothing that a client cannot have: no TPM, no allocator, no `fcntl`. A test compares the list
with the imports (tests/unit/client/test_distribution.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = (
    "attestation/cji_attestation/__init__.py",
    "attestation/cji_attestation/appraisal/*.py",
    "attestation/cji_attestation/appraisal/advisories",
    "attestation/cji_attestation/certs.py",
    "attestation/cji_attestation/checks",
    "attestation/cji_attestation/errors.py",
    "attestation/cji_attestation/evidence/__init__.py",
    "attestation/cji_attestation/evidence/ak_chain.py",
    "attestation/cji_attestation/evidence/binding.py",
    "attestation/cji_attestation/evidence/bundle.py",
    "attestation/cji_attestation/evidence/collateral.py",
    "attestation/cji_attestation/evidence/event_log.py",
    "attestation/cji_attestation/evidence/hcl.py",
    "attestation/cji_attestation/evidence/measured_boot.py",
    "attestation/cji_attestation/evidence/nonces.py",
    "attestation/cji_attestation/evidence/snp_report.py",
    "attestation/cji_attestation/evidence/td_quote.py",
    "attestation/cji_attestation/evidence/tpm_structures.py",
    "attestation/cji_attestation/fetch.py",
    "attestation/cji_attestation/jose.py",
    "attestation/cji_attestation/maa",
    "attestation/cji_attestation/py.typed",
    "attestation/cji_attestation/strict_json.py",
    "attestation/cji_attestation/system_roots.py",
    "attestation/cji_attestation/trust.py",
    "attestation/cji_attestation/verified.py",
    "worker/cji_worker/__init__.py",
    "core/cji_core/trail/__init__.py",
    "core/cji_core/trail/chain.py",
    "core/cji_core/trail/claims.py",
    "core/cji_core/trail/compact.py",
    "core/cji_core/trail/events.py",
    "core/cji_core/trail/failures.py",
    "core/cji_core/trail/fields.py",
    "core/cji_core/trail/fleet_events.py",
    "core/cji_core/trail/merkle.py",
    "core/cji_core/trail/receipts.py",
    "core/cji_core/trail/statements.py",
    "core/cji_core/trail/task_events.py",
    "core/cji_core/trail/worker_events.py",
    "core/cji_core/azure_client.py",
    "core/cji_core/command/__init__.py",
    "core/cji_core/command/__main__.py",
    "attestation/cji_attestation/verbs/advisory_rows.py",
    "client/cji_client/verbs/answers.py",
    "client/cji_client/verbs/clear.py",
    "core/cji_core/command/common.py",
    "attestation/cji_attestation/verbs/evidence.py",
    "attestation/cji_attestation/verbs/evidence_ear.py",
    "attestation/cji_attestation/verbs/evidence_file.py",
    "attestation/cji_attestation/verbs/evidence_options.py",
    "attestation/cji_attestation/verbs/evidence_pcrs.py",
    "attestation/cji_attestation/verbs/evidence_proof.py",
    "attestation/cji_attestation/verbs/evidence_rows.py",
    "attestation/cji_attestation/verbs/evidence_show.py",
    "attestation/cji_attestation/verbs/evidence_stamp.py",
    "attestation/cji_attestation/verbs/evidence_verify.py",
    "client/cji_client/verbs/job",
    "core/cji_core/command/json_output.py",
    "client/cji_client/verbs/key.py",
    "audit/cji_audit/verbs/ledger.py",
    "client/cji_client/verbs/link.py",
    "client/cji_client/verbs/link_chart.py",
    "client/cji_client/verbs/link_count.py",
    "client/cji_client/verbs/link_sample.py",
    "core/cji_core/command/manual.py",
    "core/cji_core/command/output.py",
    "client/cji_client/verbs/progress.py",
    "attestation/cji_attestation/verbs/proof_page.py",
    "client/cji_client/verbs/receipt.py",
    "client/cji_client/verbs/receipt_proof.py",
    "client/cji_client/verbs/receipt_rows.py",
    "attestation/cji_attestation/verbs/reference_values.py",
    "core/cji_core/command/refusals.py",
    "client/cji_client/verbs/report_file.py",
    "client/cji_client/verbs/result.py",
    "client/cji_client/verbs/row_table.py",
    "client/cji_client/verbs/schema.py",
    "core/cji_core/command/verbs.py",
    "client/cji_client/verbs/worker.py",
    "client/cji_client",
    "core/cji_core/command/script.py",
    "operations/cji_operations/*.py",
    "operations/cji_operations/kernels",
    "operations/cji_operations/nibrs",
    "operations/cji_operations",
    "operations/cji_operations/tables",
    "core/cji_core/format/config.py",
    "core/cji_core/format/config_fleet.py",
    "core/cji_core/format/config_listen.py",
    "core/cji_core/data_classes.py",
    "core/cji_core/format/envelope",
    "core/cji_core/errors.py",
    "core/cji_core/fips.py",
    "worker/cji_worker/fleet/__init__.py",
    "core/cji_core/pool/documents.py",
    "core/cji_core/pool/errors.py",
    "core/cji_core/pool/exchange.py",
    "core/cji_core/pool/names.py",
    "core/cji_core/pool/queue.py",
    "core/cji_core/pool/store.py",
    "core/cji_core/pool/ticket.py",
    "core/cji_core/https.py",
    "core/cji_core/format/job",
    "core/cji_core/jose.py",
    "core/cji_core/libcrypto.py",
    "core/cji_core/page",
    "core/cji_core/pairs.py",
    "core/cji_core/progress.py",
    "core/cji_core/py.typed",
    "core/cji_core/format/records",
    "client/cji_client/report",
    "core/cji_core/suites.py",
    "core/cji_core/format/table_files.py",
    "core/cji_core/verified.py",
    "core/cji_core/wire",
)
PROTOS = "protos/cji/worker/v1"


def files_of(root: Path, *, client: bool) -> Iterator[Path]:
    """The files of one of the two wheels, relative to the repository `root`, in order. ValueError for an empty room."""
    rooms = set[Path]()
    for room in ROOMS:
        paths = [root / room] if "*" not in room else list(root.glob(room))
        found = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
        if not found:
            raise ValueError(f"no file is in the room {room}")
        rooms |= found
    for package in ("attestation", "worker"):
        for file in sorted((root / package).rglob("*")):
            if file.is_file() and file.suffix != ".pyc" and (file in rooms) is client:
                yield file.relative_to(root)


class Division(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the files of a wheel, or of the client's sdist, into it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a build. An editable installation imports from the repository instead."""
        if version == "editable":
            return
        here = Path(self.root)
        client = self.metadata.core.name == "cji-client"
        root = here if (here / "worker").is_dir() else here.parent
        inside = build_data["force_include"]
        for file in files_of(root, client=client):
            inside[str(root / file)] = str(file)
        if client:
            sdist = self.target_name == "sdist"
            for file in sorted((root / PROTOS).glob("*.proto")):
                inside[str(file)] = f"{PROTOS if sdist else 'cji_client/' + PROTOS}/{file.name}"
