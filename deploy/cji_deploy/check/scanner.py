"""Checkov's rules for Azure, where Checkov is installed.

Checkov exits with 0 even if a file does not parse or if it found nothing to check, so its exit code is ignored: the
summary must show no parsing error and at least one passed rule. It runs only on templates that parsed here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from cji_deploy.check.outcome import Outcome, judged, not_run

__all__ = ["SKIPPED", "check_with_checkov"]

# rule -> why it does not apply
SKIPPED: Final = {
    "CKV_AZURE_36": "no service of Microsoft's reads the account: it is reached by private endpoints alone",
    "CKV_AZURE_40": "an expiry on the master key would end the opening of sealed records, not the release of the key",
    "CKV_AZURE_95": "automatic OS upgrades change measurements; the operator rolls images",
    "CKV_AZURE_206": "the replication is a parameter with two choices, neither of which leaves the region",
    "CKV_AZURE_97": "the size has no temporary disk, and no cache has more than the image's public root",
}
_CHECK: Final = "bicep: checkov"
_TIMEOUT_S: Final = 300


def check_with_checkov(folder: Path) -> Outcome:
    """Outcome for all templates of the folder."""
    program = shutil.which("checkov", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        return not_run(_CHECK, folder.name, "checkov is not installed")
    options = ["--framework", "bicep", "--quiet", "--compact", "--skip-download", "--output", "json"]
    command = [program, "--directory", str(folder), *options, "--skip-check", ",".join(SKIPPED)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
        report = json.loads(done.stdout)
        summary, failed = report["summary"], report["results"]["failed_checks"]
        problems = [f"{item['file_path']}: {item['check_id']} {item['check_name']}" for item in failed]
        if summary["parsing_errors"] or not summary["passed"]:
            problems.append(f"checkov read {summary['passed']} rules with {summary['parsing_errors']} parsing errors")
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, TypeError) as error:
        problems = [f"checkov gave no report ({type(error).__name__})"]
    return judged(_CHECK, folder.name, problems)
