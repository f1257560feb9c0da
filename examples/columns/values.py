"""Print what app and operator give the agency for `cji columns rewrap`, and write the worker's public key."""

import sys
from pathlib import Path

from cji_client import connect
from cji_core.format.envelope import signer_thumbprint
from cji_core.jose import public_jwk
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_simulator import Simulation

state, profile, jwk = sys.argv[1:]
with connect(profile, trusts=[Simulation.running(Path(state)).trust]) as app:
    job = {name: str(value) for name, value in app.profile.job.items()}
    key = app.describe().pin(job["kek_id"], thumbprint=job["kek_thumbprint"])
    Path(jwk).write_text(public_jwk(key.public))
    print(f"KEK_ID={job['kek_id']} KEK_THUMBPRINT={job['kek_thumbprint']}")
    print(f"SUBMITTER={b64url(signer_thumbprint(app.signer.public_key(), Suite.CLASSICAL_1))}")
