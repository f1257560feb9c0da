"""What a machine reads of its operators and its pool: grants, processors, seeds, send keys, entries of the ledger."""

import datetime
import functools
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from cji_attestation import PRODUCTION
from cji_attestation.appraisal.advisories.signed import sign_statement
from cji_attestation.appraisal.chips import ChipList, read_chips, sign_chips
from cji_core.errors import Refusal, StartupError
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.jose import public_jwk, sign
from cji_core.moments import moment
from cji_core.pairs import SigningPair
from cji_core.pool.entries import Attempt, End, Kind, NoEntry, Outcome, encode, read_entry
from cji_core.strict import b64url_decode
from cji_core.suites import Suite
from cji_core.trail.receipts import receipt_sha384
from cji_simulator.operator import operator
from cji_worker.broker.grants import grants
from cji_worker.keyholder.custody import _wrapped_seed
from tests.fuzz.attestation_targets import only, target, text
from tests.fuzz.mutators import BYTES, JSON, JWS, TEXT
from tests.support.worker_configs import WORKER_CONFIG

__all__ = ["MACHINES"]

JOB: Final = "ab" * 16
KEK_ID: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
LEDGER_KEY: Final = bytes(range(48))
CLOUDS: Final = {trust.name: trust for trust in PRODUCTION}
_CONSOLE: Final = b"""
status_socket = "status.sock"
[monitor]
client_id = "11111111-1111-4111-8111-111111111111"
"""
_DELIVERY: Final = b"""
[[sinks]]
kind = "monitor"
cloud = "azure-us"
client_id = "11111111-1111-4111-8111-111111111111"

[[sinks]]
kind = "event_hubs"

[log]
policy = "policy.toml"
"""


def _granted(_: bytes, found: Any) -> bool:
    """Only whole requests: of GET or POST, to one target without a blank or an end of line."""
    requests = [one for each in found.values() for one in each.requests]
    return bool(requests) and all(
        one.count(" ") == 1 and one.startswith(("GET /", "POST /")) and one.isprintable() for one in requests
    )


def _lists() -> tuple[bytes, ...]:
    day = datetime.date(2026, 11, 30)
    values: dict[str, Any] = {"since": day, "until": day + datetime.timedelta(days=30), "decided_by": "CISO"}
    made = (ChipList(version=1, id="rack-7", chips=chips, **values) for chips in (("ab" * 64,), ("ab" * 64, "cd" * 16)))
    return tuple(sign_chips(one, operator().key) for one in made)


_LISTS: Final = functools.cache(_lists)


def _payloads() -> tuple[bytes, ...]:
    return tuple(b64url_decode(one.decode().split(".")[1]) for one in _LISTS())


def _chips(data: bytes) -> ChipList:
    return read_chips(data, (operator().signer,))


@functools.cache
def _file() -> Path:
    path = Path(tempfile.mkdtemp()) / "half.seed"
    path.touch(mode=0o400)
    path.chmod(0o600)
    return path


def _seed(data: bytes) -> bytes:
    _file().write_bytes(data)
    key: Any = SimpleNamespace(ml_kem_seed_file=str(_file()), ml_kem_thumbprint="A" * 43)
    return _wrapped_seed(key)[0]


@functools.cache
def _sender() -> SigningPair:
    return SigningPair.generate()


def _send_keys() -> tuple[bytes, ...]:
    pair = _sender().public_key()
    return public_jwk(pair).encode(), public_jwk(pair.p384).encode()


def _sent(data: bytes) -> object:
    header: Any = SimpleNamespace(
        send_key=signer_thumbprint(_sender().public_key(), Suite.CLASSICAL_1), suite=Suite.CLASSICAL_1
    )
    return admission_key(header, _sender().public_key(), text(data))


def _named(_: bytes, found: Any) -> bool:
    """The P-384 key whose thumbprint the header has: alone, or as half of any pair, since the suite is classical-1."""
    return public_jwk(getattr(found, "p384", found)).encode() == _send_keys()[1]


@functools.cache
def _admission() -> bytes:
    return admission_message(nonce=bytes(32), receipt_key=bytes(32), header_sha384=bytes(48), attempt=1)


@functools.cache
def _admissions() -> tuple[bytes, ...]:
    return (sign(_sender(), _admission(), Suite.HYBRID_1),)


def _admitted(data: bytes) -> None:
    verify_admission(_sender().public_key(), Suite.HYBRID_1, _admission(), data)


def _entries(kind: type[Attempt] | type[End]) -> tuple[bytes, ...]:
    shared: dict[str, Any] = {
        "job": JOB, "header_sha384": "0a" * 48, "submitter": "metro-pd", "kek_id": KEK_ID, "trail": "0b" * 48,
        "receipt_key": "A" * 43, "name": "cd" * 16,
    }  # fmt: skip
    if kind is Attempt:
        return tuple(encode(Attempt(number=0, kind=one, **shared), LEDGER_KEY) for one in Kind)
    document = "eyJh.eyJi.c2ln"
    end: dict[str, Any] = {"attempt": 0, "sha384": receipt_sha384(document), "document": document}
    return tuple(encode(End(outcome=one, **end, **shared), LEDGER_KEY) for one in Outcome)


def _entry(kind: type[Attempt] | type[End]) -> Any:
    keys: Any = SimpleNamespace(key=lambda kek_id: LEDGER_KEY if kek_id == KEK_ID else None)

    def read(data: bytes) -> object:
        found = read_entry(data, kind, keys, job=JOB, number=0)  # type: ignore[type-var]
        if isinstance(found, NoEntry):
            raise ValueError(found.name)
        return found

    return read


_TIMES: Final = (b"2026-11-30T08:00:05Z", b"2026-11-30T08:00:05.123Z", b"2026-11-30T02:00:05.123456789-06:00")


def _is_time(data: bytes, found: object) -> bool:
    """Python reads the same moment from the text without digits that it does not know."""
    assert isinstance(found, datetime.datetime)
    return datetime.datetime.fromisoformat(data.decode("ascii")) == found


MACHINES: Final = (
    target(
        "broker-grants",
        lambda: (WORKER_CONFIG.encode(),),
        lambda data: grants(data, b"", b"", clouds=CLOUDS),
        refusals=(StartupError,),
        fair=lambda data, found: not data or _granted(data, found),
        mutators=TEXT,
    ),
    target(
        "broker-destinations",
        lambda: (_DELIVERY,),
        lambda data: grants(b"", data, b"", clouds=CLOUDS),
        refusals=(StartupError,),
        fair=_granted,
        mutators=TEXT,
    ),
    target(
        "broker-console",
        lambda: (_CONSOLE,),
        lambda data: grants(b"", b"", data, clouds=CLOUDS),
        refusals=(StartupError,),
        fair=_granted,
        mutators=TEXT,
    ),
    target(
        "chips",
        _LISTS,
        _chips,
        refusals=(ValueError,),
        fair=lambda data, _: data.rstrip(b"\n") in _LISTS(),
        mutators=JWS,
    ),
    target(
        "chips-resigned",
        _payloads,
        lambda data: _chips(sign_statement("cji-chips", data, operator().key)),
        refusals=(ValueError,),
        fair=lambda data, found: msgspec.json.encode(found) == data,
        mutators=JSON,
    ),
    target("seed-file", lambda: (b"QUJD", b"QUJDRA\n"), _seed, refusals=(StartupError,), mutators=(*BYTES, *TEXT)),
    target(
        "send-key",
        lambda: _send_keys()[::-1],
        _sent,
        refusals=(Refusal,),
        fair=_named,
        mutators=JSON,
    ),
    target("admission-signature", _admissions, _admitted, refusals=(Refusal,), fair=only(_admissions)),
    target(
        "ledger-attempt",
        lambda: _entries(Attempt),
        _entry(Attempt),
        refusals=(ValueError,),
        fair=lambda data, found: data in _entries(Attempt),
        mutators=JSON,
    ),
    target(
        "ledger-end",
        lambda: _entries(End),
        _entry(End),
        refusals=(ValueError,),
        fair=lambda data, found: data in _entries(End),
        mutators=JSON,
    ),
    target(
        "moment",
        lambda: _TIMES,
        lambda data: moment(text(data)),
        refusals=(ValueError,),
        fair=_is_time,
        mutators=(*BYTES, *TEXT),
    ),
)
