"""A submitter's process: `python -m tests.support.listed_client FILE` runs the jobs in FILE and prints its modules.

It imports what a program of a submitter imports, and lists the modules of ours that it has at its end.
"""

import pickle
import sys
from pathlib import Path

import msgspec

from cji_attestation import Trust
from cji_client import connect
from cji_client.keys import new_project_key
from tests.support.listed_process import OURS


def main() -> None:
    """Run the jobs."""
    profile, trust, jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
    with connect(profile, trusts=[msgspec.json.decode(trust, type=Trust)]) as worker:
        for spec, records, sides, project in jobs:
            key = new_project_key(project) if project else None
            with worker.run(records, spec, sides=sides, project_key=key) as result:
                assert result.names
    print(*(name for name in sys.modules if name.startswith(OURS)))


if __name__ == "__main__":
    main()
