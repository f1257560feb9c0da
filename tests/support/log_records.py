"""Records of the agency's log as a deliverer keeps them, made without servers: keys of a log and of three witnesses."""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.jose import public_jwk
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, NoteSigner, new_signers
from cji_core.tlog.leaves import CheckpointLeaf, encode_leaf, new_salt
from cji_core.tlog.policy import Policy, PolicyFile, WitnessTable
from cji_core.tlog.proofs import LogProof
from cji_core.trail.chain import read as read_line
from cji_core.trail.checkpoint import Checkpoint, origin_of, sign_checkpoint
from cji_core.trail.fields import unix_seconds
from cji_core.trail.merkle import Frontier, leaf_hash, node_hash
from cji_core.trail.witnesses.records import LogReceipt, Offer, Position, Witnessed
from tests.support.packet_period import KEY, WORKER

ORIGIN: Final = "log.pd.example/trails"
LOG: Final = new_signers(ORIGIN, LOG_TYPES)
WITNESSES: Final = tuple(new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(3))


def policy(log: Sequence[NoteSigner] = LOG, witnesses: Sequence[Sequence[NoteSigner]] = WITNESSES) -> Policy:
    tables = tuple(
        WitnessTable(
            name=f"w{number}",
            url="https://w.example",
            keys=tuple(each.key.vkey for each in keys),
            agency=number == 0,
        )
        for number, keys in enumerate(witnesses)
    )
    file = PolicyFile(
        origin=log[0].key.name,
        url=f"https://{log[0].key.name}",
        keys=tuple(each.key.vkey for each in log),
        operators=(public_jwk(KEY.public_key()),),
        witnesses=tables,
    )
    return Policy(file)


def entry(
    lines: Sequence[bytes],
    size: int,
    *,
    worker: str = WORKER,
    trail: str | None = None,
    at: int | None = None,
    key: ec.EllipticCurvePrivateKey = KEY,
    log: Sequence[NoteSigner] = LOG,
    witnesses: Sequence[Sequence[NoteSigner]] = WITNESSES,
) -> Witnessed:
    """The deliverer's record of the first `size` lines, cosigned `at` a time or a minute later; the log has another."""
    tree = Frontier()
    for line in lines[:size]:
        tree.append(leaf_hash(line))
    note = sign_checkpoint(tree, origin=origin_of(worker), key=key).decode()
    trail = trail or read_line(lines[0], number=1).hash
    leaf = CheckpointLeaf(salt=new_salt(), trail=trail, previous=0, consistency=(), note=note)
    text = encode_leaf(leaf).decode()
    root = node_hash(bytes(32), leaf_hash(text.encode()))
    bare = Frontier(2, [root])
    unsigned = Checkpoint(origin=log[0].key.name, size=2, root=root, text=_text(log[0].key.name, bare), signatures=())
    last, start = read_line(lines[size - 1], number=size), sum(map(len, lines[: size - 1]))
    at = unix_seconds(last.time) + 60 if at is None else at
    signers = [*log, *(key for keys in witnesses for key in keys)]
    cosigned = Checkpoint(
        origin=unsigned.origin,
        size=2,
        root=root,
        text=unsigned.text,
        signatures=tuple(each.sign(unsigned, at=at) for each in signers),
    )
    proof = LogProof(index=1, hashes=(bytes(32),), note=cosigned).encode().decode()
    return Witnessed(
        offer=Offer(previous=0, consistency=(), note=note),
        receipt=LogReceipt(trail=trail, entry=text, proof=proof),
        position=Position(seq=last.seq, hash=last.hash, start=start, peaks=()),
    )


def _text(origin: str, tree: Frontier) -> bytes:
    return sign_checkpoint(tree, origin=origin, key=KEY).split(b"\n\n")[0] + b"\n"
