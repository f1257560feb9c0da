"""The one table of what is fuzzed."""

from typing import Final

from tests.fuzz.archive_targets import ARCHIVE
from tests.fuzz.attestation_targets import ATTESTATION
from tests.fuzz.boot_targets import BOOT_TARGETS
from tests.fuzz.broker_targets import BROKER
from tests.fuzz.bundle_targets import BUNDLES
from tests.fuzz.column_key_targets import COLUMN_KEYS
from tests.fuzz.column_targets import COLUMNS
from tests.fuzz.door_targets import DOOR
from tests.fuzz.engine_targets import ENGINE
from tests.fuzz.entra_targets import ENTRA
from tests.fuzz.input_targets import INPUTS
from tests.fuzz.job_targets import JOBS
from tests.fuzz.link_targets import LINK
from tests.fuzz.machine_targets import MACHINES
from tests.fuzz.nibrs_targets import NIBRS
from tests.fuzz.process_targets import PROCESSES
from tests.fuzz.retention_targets import RETENTION
from tests.fuzz.suite_targets import SUITES
from tests.fuzz.task_targets import TASKS
from tests.fuzz.witness_targets import WITNESSES
from tests.fuzz.worker_targets import WORKER

__all__ = ["TARGETS"]

TARGETS: Final = (
    *ATTESTATION,
    *ARCHIVE,
    *BOOT_TARGETS,
    *BROKER,
    *BUNDLES,
    *COLUMNS,
    *WORKER,
    *SUITES,
    *ENGINE,
    *PROCESSES,
    *JOBS,
    *LINK,
    *MACHINES,
    *NIBRS,
    *DOOR,
    *ENTRA,
    *INPUTS,
    *COLUMN_KEYS,
    *TASKS,
    *WITNESSES,
    *RETENTION,
)
