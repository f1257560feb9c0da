"""A worker's description of itself, untrusted: enough to seal a job, once its key is pinned."""

from dataclasses import dataclass
from typing import Self

from cji_client.errors import Unverified
from cji_client.spec import JobSpec
from cji_core.format.keys import PinnedKey
from cji_core.wire.v1 import worker_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The answer to Describe. Nothing in it is trusted; `pin` checks the one thing that sealing needs."""

    audience: str
    worker_id: str
    operations: tuple[str, ...]
    schemas: tuple[str, ...]
    keys: dict[str, tuple[str, str]]
    """By key id: the JWK of the CMK, and that of its ML-KEM half, which may be empty."""
    limits: pb.Limits

    @classmethod
    def of(cls, response: pb.DescribeResponse) -> Self:
        """From the protobuf answer."""
        return cls(
            audience=response.audience,
            worker_id=response.worker_id,
            operations=tuple(response.operations),
            schemas=tuple(response.schemas),
            keys={key.kek_id: (key.public_jwk, key.ml_kem_jwk) for key in response.keys},
            limits=response.limits,
        )

    def pin_for(self, spec: JobSpec) -> PinnedKey:
        """The key that this spec pins; otherwise Unverified."""
        return self.pin(spec.kek_id, thumbprint=spec.kek_thumbprint, ml_kem_thumbprint=spec.ml_kem_thumbprint)

    def pin(self, kek_id: str, *, thumbprint: str, ml_kem_thumbprint: str | None = None) -> PinnedKey:
        """The public key with this id if its RFC 7638 thumbprint matches; otherwise Unverified(`kek`).

        With `ml_kem_thumbprint` also its ML-KEM half, which must match as well.
        """
        found = self.keys.get(kek_id)
        if found is None:
            raise Unverified("kek", f"the worker does not offer {kek_id}")
        jwk, ml_kem = found
        return PinnedKey.check(kek_id, jwk, expected=thumbprint, ml_kem_jwk=ml_kem, expected_ml_kem=ml_kem_thumbprint)
