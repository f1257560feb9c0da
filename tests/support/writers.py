"""The settings of the programs in examples/node, java and go, from the profile of a site's submitter."""

import tomllib
from pathlib import Path
from typing import Final

from cji_core.format.keys import load_signing_key
from cji_core.jose import public_jwk
from cji_core.pairs import VerifyingPair
from cji_core.suites import Suite
from cji_simulator.site import Site

_FILES: Final = ("ca", "certificate", "private_key", "signing_key", "recipient_key")
_REST: Final = ("target", "cloud", "maa_url")


def settings(site: Site, suite: Suite = Suite.CLASSICAL_1) -> Path:
    """Write client.properties beside the profile. The provider's certificate is of the simulator's own authority."""
    profile = tomllib.loads(site.files.profile.read_text())
    job = dict(profile["job"])
    (recipient,) = job.pop("recipients")
    folder = site.files.profile.parent
    roots = site.simulation.trust.tls_roots
    assert roots is not None
    (folder / "maa-ca.pem").write_text(roots)
    values = {name: profile[name] for name in (*_REST, *_FILES)} | job
    # a file for both suites has an ML-DSA key too; a classical job is signed with the P-384 half
    signing = load_signing_key(folder / profile["signing_key"]).public_key()
    half = signing.p384 if isinstance(signing, VerifyingPair) else signing
    values |= {"recipient_jwk": recipient, "signing_jwk": public_jwk(half), "maa_ca": "maa-ca.pem", "simulated": "true"}
    if suite is Suite.HYBRID_1:
        values |= {
            "suite": suite.value,
            "recipient_key": str(site.files.hybrid_recipient),
            "recipient_jwk": public_jwk(site.hybrid_recipient.public_key()),
            "ml_kem_thumbprint": site.hybrid_kek.ml_kem_thumbprint,
        }
    values["target"] = f"localhost:{profile['target'].rpartition(':')[2]}"
    path = folder / f"client-{suite.value}.properties"
    path.write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
    return path
