"""The one table of what is fuzzed."""

from typing import Final

from tests.fuzz.attestation_targets import ATTESTATION
from tests.fuzz.input_targets import INPUTS
from tests.fuzz.job_targets import JOBS
from tests.fuzz.process_targets import PROCESSES
from tests.fuzz.suite_targets import SUITES
from tests.fuzz.worker_targets import WORKER

__all__ = ["TARGETS"]

TARGETS: Final = (*ATTESTATION, *WORKER, *SUITES, *PROCESSES, *JOBS, *INPUTS)
