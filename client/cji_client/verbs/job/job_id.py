"""The argument JOB of several verbs."""

import contextlib
from pathlib import Path
from typing import Final

from cji_client.job_folder import load_job
from cji_core.command.common import Failure
from cji_core.strict import StrictError, hex_decode

_ID_BYTES: Final = 16


def job_id_of(job: str) -> bytes:
    """The id of a job, from itself or from the folder of a sealed job; Failure 2 for anything else."""
    with contextlib.suppress(StrictError):
        return hex_decode(job, size=_ID_BYTES)
    if not Path(job).is_dir():
        raise Failure(
            "JOB is neither a folder nor a job id",
            remedy="Give the folder of `cji job submit`, or 32 hexadecimal digits in lower case.",
            status=2,
        )
    return load_job(Path(job)).header.job_id
