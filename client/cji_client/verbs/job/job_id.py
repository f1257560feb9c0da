"""The argument JOB of several verbs."""

import re
from pathlib import Path
from typing import Final

from cji_client.job_folder import load_job
from cji_core.command.common import Failure

_ID: Final = re.compile(r"[0-9a-f]{32}")


def job_id_of(job: str) -> bytes:
    """The id of a job, from itself or from the folder of a sealed job; Failure 2 for anything else."""
    if _ID.fullmatch(job):
        return bytes.fromhex(job)
    if not Path(job).is_dir():
        raise Failure(
            "JOB is neither a folder nor a job id",
            remedy="Give the folder of `cji job submit`, or 32 hexadecimal digits.",
            status=2,
        )
    return load_job(Path(job)).header.job_id
