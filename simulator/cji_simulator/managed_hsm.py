"""A Managed HSM: the protocol of a vault for tokens of its own audience, written down in another way.

As recorded in the Key Vault tests of azure-sdk-for-js (December 2021): members in alphabetical order, in policies too;
exponents of three bytes; `immutable` left out where it is false; released keys of kind RSA and EC, with their policy's
content type; statements whose `kid` is the SHA-256 of the certificate; a 401 without a body. The ten calls in ten
seconds are a limit of vaults.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from cji_simulator import jws
from cji_simulator.certificates import Credential
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.keyvault import KeyVault, Refused
from cji_simulator.release_policy import ReleasePolicy

__all__ = ["ManagedHsm"]


class ManagedHsm(KeyVault):
    """One HSM; its keys are its own."""

    def throttle(self) -> None:
        """Limit nothing."""

    def refused(self, refusal: Refused) -> web.Response:
        """Leave the body of a challenge empty."""
        return web.Response(status=401, headers=refusal.headers) if refusal.status == 401 else refusal.response()

    def kept(self, policy: ReleasePolicy) -> ReleasePolicy:
        """Sort the policy's members."""
        return ReleasePolicy(_text({**json.loads(policy.encoded), "version": "1.0.0"}))

    def shown(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """Sort a key's members."""
        key, policy = dict(bundle["key"]), dict(bundle.get("release_policy", {}))
        if "e" in key:
            key["e"] = "AQAB"
        if not policy.get("immutable"):
            policy.pop("immutable", None)
        found = {"attributes": bundle["attributes"], "key": key, **({"release_policy": policy} if policy else {})}
        ordered: dict[str, Any] = json.loads(_text(found))
        return ordered

    def stated(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """Name the kind of key without its HSM."""
        found = self.shown(bundle)
        hsm = _text(json.loads(unb64url(found["key"]["key_hsm"])))
        return found | {"key": found["key"] | {"kty": found["key"]["kty"].removesuffix("-HSM"), "key_hsm": b64url(hsm)}}

    def signed(self, payload: Mapping[str, Any], signer: Credential) -> str:
        """Sign with a header that names the certificate by SHA-256 only."""
        der = signer.certificate.public_bytes(Encoding.DER)
        name = b64url(hashlib.sha256(der).digest())
        header = {"kid": name, "x5c": jws.x5c(signer), "x5t#S256": name}
        return jws.sign(header, json.loads(_text(payload)), signer.rsa())


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
