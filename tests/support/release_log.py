"""A log of releases in memory: its keys, its witnesses' keys, its publisher, and copies of it at any time."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.jose import public_jwk
from cji_core.tlog.keys import COSIGNED_ED25519, NOTE_ED25519, SeedSigner, new_signers
from cji_core.tlog.leaves import (
    Artefact,
    Decision,
    Image,
    PcrValue,
    Release,
    StatementLeaf,
    Withdrawal,
    decision_sha384,
    encode_leaf,
)
from cji_core.tlog.policy import Policy, PolicyFile, WitnessTable
from cji_core.tlog.releases import ReleaseLog
from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from tests.support.tlog_site import signed
from tests.support.witness_trails import new_key

ORIGIN: Final = "log.pd.example/releases"
TIME: Final = "2026-12-01T00:00:00.00Z"
NOW: Final = 1_796_083_200
"""The same as POSIX seconds."""
KEYS: Final = "0b" * 48


def pcrs_of(seed: int) -> tuple[bytes, ...]:
    """PCRs 0 to 15 of a boot: those of firmware and configuration, and four of the image with this seed."""
    return tuple(bytes([seed if pcr in {4, 9, 11} else 0]) * 32 for pcr in range(16))


def an_image(seed: int = 1, **changes: Any) -> Image:
    values = tuple(PcrValue(pcr=pcr, sha256=pcrs_of(seed)[pcr].hex()) for pcr in (4, 9, 11))
    found = Image(
        flavour="production", platform="azure-cvm", root_sha256="0c" * 32, pcrs=values, bundle_keys_sha384=KEYS
    )
    return msgspec.structs.replace(found, **changes)


def a_release(version: str = "0.2.0", seed: int = 1, **changes: Any) -> Release:
    found = Release(
        origin=ORIGIN,
        product="cji-worker",
        version=version,
        commit="0a" * 20,
        time=TIME,
        artefacts=(Artefact(name="image/cji-worker.efi", sha256=f"{seed:02x}" * 32),),
        image=an_image(seed),
    )
    return msgspec.structs.replace(found, **changes)


def withdrawal(release: Release, **changes: Any) -> Withdrawal:
    found = Withdrawal(
        origin=ORIGIN, release_sha384=decision_sha384(release), explanation="CVE-2026-1, ticket 4711", time=TIME
    )
    return msgspec.structs.replace(found, **changes)


@dataclass
class Publisher:
    """A publisher with a log of releases and `count` witnesses, of which the first is its own."""

    count: int = 4
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    operator: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    log: Sequence[SeedSigner] = field(default_factory=lambda: new_signers(ORIGIN, (NOTE_ED25519,)))
    entries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.witnesses = [new_signers(f"w{n}.example", (COSIGNED_ED25519,))[0] for n in range(self.count)]
        tables = tuple(
            WitnessTable(name=f"w{n}", url="https://w.example", keys=(each.key.vkey,), agency=n == 0)
            for n, each in enumerate(self.witnesses)
        )
        file = PolicyFile(
            origin=ORIGIN,
            url="https://log.pd.example/releases",
            keys=tuple(each.key.vkey for each in self.log),
            operators=(public_jwk(self.operator.public_key()),),
            publishers=(public_jwk(self.key.public_key()),),
            witnesses=tables,
        )
        self.policy = Policy(file)

    def states(self, decision: Decision, key: ec.EllipticCurvePrivateKey | None = None) -> StatementLeaf:
        leaf = signed(decision, key or self.key)
        self.entries.append(encode_leaf(leaf))
        return leaf

    def checkpoint(self, *, at: int = NOW, by: Sequence[int] = (0, 1, 2), size: int | None = None) -> str:
        tree = Frontier()
        for entry in self.entries[:size]:
            tree.append(leaf_hash(entry))
        text = f"{ORIGIN}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n".encode()
        bare = Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root(), text=text, signatures=())
        signers = [*self.log, *(self.witnesses[n] for n in by)]
        return replace(bare, signatures=tuple(each.sign(bare, at=at) for each in signers)).encode().decode()

    def copy(self, **how: Any) -> bytes:
        return ReleaseLog(
            entries=tuple(each.decode() for each in self.entries), checkpoint=self.checkpoint(**how)
        ).encode()
