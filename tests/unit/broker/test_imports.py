"""The broker is small: it has tokens of every identity, and is on the way of every start."""

import json
import subprocess
import sys

ABSENT = {"azure", "click", "cryptography", "grpc", "msal", "numpy", "pyarrow", "requests", "tpm2_pytss"}
LOADED = "import json, sys, cji_worker.broker.__main__; print(json.dumps(sorted(sys.modules)))"


def test_the_broker_has_no_library_of_azure_and_no_key() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    modules = json.loads(done.stdout)
    assert {name.partition(".")[0] for name in modules} & ABSENT == set()
    assert [name for name in modules if name.startswith(("cji_worker.keyholder", "cji_core.format"))] == []
