"""The readers of what the log, its witnesses and the deliverer's state hold."""

import functools
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.tlog.leaves import ConflictLeaf, LeafError, StatementLeaf, decode_leaf, encode_leaf
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.releases import ReleaseLog, ReleaseLogError, decode_copy
from cji_core.tlog.requests import parse_body
from cji_core.tlog.tiles import encode_bundle, parse_path, split_bundle
from cji_core.trail.checkpoint import CheckpointError, parse_cosigned, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.witnesses.records import (
    LogReceipt,
    Offer,
    Position,
    RecordError,
    Witnessed,
    decode_witnessed,
)
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, JSON
from tests.support.release_log import a_release

__all__ = ["WITNESSES"]


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@functools.cache
def _offer() -> Offer:
    tree = Frontier()
    tree.append(leaf_hash(b"line"))
    note = sign_checkpoint(tree, origin="cji-worker/w", key=_key()).decode()
    return Offer(previous=0, consistency=("00" * 32,), note=note)


def _records() -> tuple[bytes, ...]:
    position = Position(seq=1, hash="00" * 48, start=0, peaks=("00" * 32,))
    receipt = LogReceipt(trail="00" * 48, entry=_leaf().decode(), proof="a proof")
    return (Witnessed(offer=_offer(), receipt=receipt, position=position).encode(),)


def _in_one_form(data: bytes, value: Any) -> bool:
    return bool(value.encode() == data)


def _text(parse: Any, data: bytes) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise CheckpointError("not UTF-8") from None
    return parse(text)


def _cosigned() -> bytes:
    return _offer().note.encode()


def _leaf() -> bytes:
    leaf = ConflictLeaf(salt="00" * 32, trail="00" * 48, cause="fork", note=_offer().note)
    return encode_leaf(leaf)


def _release() -> bytes:
    return encode_leaf(StatementLeaf(salt="00" * 32, decision=a_release(), signature="AAAA"))


WITNESSES: Final = (
    target(
        "release-log",
        lambda: (ReleaseLog(entries=(_release().decode(),), checkpoint=_cosigned().decode()).encode(),),
        decode_copy,
        refusals=(ReleaseLogError,),
        fair=_in_one_form,
        mutators=JSON,
        weight=10,
    ),
    target(
        "log-checkpoint",
        lambda: (_cosigned(),),
        parse_cosigned,
        refusals=(CheckpointError,),
        fair=_in_one_form,
        mutators=BYTES,
        weight=10,
    ),
    target(
        "log-add-checkpoint",
        lambda: (b"old 3\n" + b"A" * 43 + b"=\n\n" + _cosigned(),),
        parse_body,
        refusals=(CheckpointError,),
        fair=_in_one_form,
        mutators=BYTES,
        weight=10,
    ),
    target(
        "log-proof",
        lambda: (b"c2sp.org/tlog-proof@v1\nindex 7\n" + b"A" * 43 + b"=\n\n" + _cosigned(),),
        parse_proof,
        refusals=(CheckpointError,),
        fair=_in_one_form,
        mutators=BYTES,
        weight=10,
    ),
    target(
        "log-entry",
        lambda: (_leaf(), _release()),
        decode_leaf,
        refusals=(LeafError,),
        fair=lambda data, value: encode_leaf(value) == data,
        mutators=JSON,
        weight=10,
    ),
    target(
        "log-bundle",
        lambda: (encode_bundle([b"a", b"bb", b""]),),
        lambda data: split_bundle(data, width=3),
        refusals=(CheckpointError,),
        fair=lambda data, value: encode_bundle(value) == data,
        mutators=BYTES,
        weight=5,
    ),
    target(
        "log-tile-path",
        lambda: (b"tile/0/x001/x234/067.p/5", b"tile/entries/000"),
        lambda data: _text(parse_path, data),
        refusals=(CheckpointError,),
        fair=lambda data, value: value.path.encode() == data,
        mutators=BYTES,
        weight=5,
    ),
    target(
        "witness-record",
        _records,
        decode_witnessed,
        refusals=(RecordError,),
        fair=_in_one_form,
        mutators=JSON,
        weight=10,
    ),
)
