"""Another policy of the log in a bundle: what leads to it, and what does not. Real keys, real cosignatures."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.contents import check_contents
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.signatures import WITNESSES_LOST, FileSigner, accepted_in
from cji_attestation.bundle.witnesses import InForce, Loss, Witnesses, follow, sign_loss
from cji_core.boot_codes import BootCode
from cji_core.jose import es384_sign, public_jwk
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, NoteSigner, new_signers
from cji_core.tlog.leaves import PolicyDecision, encode_leaf, sign_decision
from cji_core.tlog.policy import Policy, PolicyFile, WitnessTable, encode_policy
from cji_core.tlog.proofs import LogProof
from cji_core.tlog.submissions import Added
from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.merkle import leaf_hash
from cji_worker.bundle.apply import Kept, keep, kept
from tests.support.bundles import KEY, files, keys_folder, made, public_pem
from tests.support.tlog_site import ORIGIN, policy_toml
from tests.support.witness_trails import new_key
from tests.unit.bundle.test_contents import CLOUDS, LOG

NOW: Final = datetime(2026, 12, 1, 12, tzinfo=UTC)
LOG_KEYS: Final = new_signers(ORIGIN, LOG_TYPES)
OPERATOR: Final = new_key()
OFFLINE: Final = new_key()
HELD: Final = [new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(3)]
"""By the policy's number: the keys of its one witness."""


def policy_of(number: int) -> Policy:
    keys = tuple(each.key.vkey for each in HELD[number])
    return Policy(
        PolicyFile(
            origin=ORIGIN,
            url="https://log.pd.example/trails",
            keys=tuple(each.key.vkey for each in LOG_KEYS),
            operators=(public_jwk(OPERATOR.public_key()),),
            quorum=1,
            faulty=0,
            witnesses=(WitnessTable(name=f"w{number}", url="https://w.example", keys=keys),),
        )
    )


POLICIES: Final = [policy_of(number) for number in range(3)]


def at(hours: float) -> str:
    return utc_hundredths(NOW - timedelta(hours=hours))


def change(
    before: int,
    after: int,
    *,
    hours: float = 1.0,
    by: ec.EllipticCurvePrivateKey = OPERATOR,
    cosigners: Sequence[NoteSigner] | None = None,
    log: Sequence[NoteSigner] = LOG_KEYS,
    root: bytes | None = None,
) -> bytes:
    """The file of `cji log change-policy`, in a log of this one entry."""
    decision = PolicyDecision(
        origin=ORIGIN,
        previous_sha384=POLICIES[before].digest,
        policy=encode_policy(POLICIES[after].file).decode(),
        operator="jdoe",
        explanation="yearly",
        time=at(hours),
    )
    entry = encode_leaf(sign_decision(decision, partial(es384_sign, by)))
    found = leaf_hash(entry) if root is None else root
    text = f"{ORIGIN}\n1\n{base64.b64encode(found).decode()}\n".encode()
    bare = Checkpoint(origin=ORIGIN, size=1, root=found, text=text, signatures=())
    signers = (*log, *(HELD[before] if cosigners is None else cosigners))
    signatures = tuple(each.sign(bare, at=1_790_000_000) for each in signers)
    note = Checkpoint(origin=ORIGIN, size=1, root=found, text=text, signatures=signatures)
    proof = LogProof(index=0, hashes=(), note=note).encode()
    return msgspec.json.encode(Added(entry=entry.decode(), proof=proof.decode()))


def lost(
    before: int, after: int, *, hours: float = 1.0, pool: str = "pool-7", by: ec.EllipticCurvePrivateKey = OFFLINE
) -> bytes:
    stated = Loss(
        pool=pool,
        previous_sha384=POLICIES[before].digest,
        policy_sha384=POLICIES[after].digest,
        operator="jdoe",
        explanation="both agencies left",
        time=at(hours),
    )
    return sign_loss(stated, FileSigner(by))


def bundle_of(now: int, *earlier: int, **steps: bytes) -> dict[str, bytes]:
    """The log's files: policy `now`, earlier ones, and steps by name and kind: `one_change`, `two_lost`."""
    given = {f"log/{name.replace('_', '.')}.json": data for name, data in steps.items()}
    old = {f"log/p{number}.toml": policy_toml(POLICIES[number]) for number in earlier}
    return {"log/policy.toml": policy_toml(POLICIES[now]), **old, **given}


def on(number: int, *, hours: float | None = None) -> InForce:
    """A machine that has this policy, by a step of so many hours ago."""
    return InForce(policy_sha384=POLICIES[number].digest, time=None if hours is None else at(hours))


def taken(given: dict[str, bytes], in_force: InForce | None, **changes: Any) -> Witnesses | None:
    told: dict[str, Any] = {"pool": "pool-7", "lost": OFFLINE.public_key(), "now": NOW, **changes}
    return follow(given, in_force=in_force, **told)


def refused(given: dict[str, bytes], in_force: InForce | None, **changes: Any) -> str:
    with pytest.raises(BundleRefused) as caught:
        taken(given, in_force, **changes)
    assert (caught.value.status, caught.value.boot_code) == (3, BootCode.WITNESSES)
    assert "cji log change-policy" in caught.value.remedy
    return caught.value.what


def test_a_quorum_of_the_old_witnesses_leads_to_new_ones() -> None:
    found = taken(bundle_of(1, 0, a_change=change(0, 1)), on(0))
    assert found is not None
    assert found.in_force == on(1, hours=1)
    assert [(each.how, each.file, each.operator) for each in found.steps] == [("quorum", "log/a.change.json", "jdoe")]
    two = bundle_of(2, 0, a_change=change(0, 1, hours=2), b_change=change(1, 2))
    both = taken(two, on(0))
    assert both is not None
    assert both.in_force == on(2, hours=1)
    late = taken(two, on(1, hours=2))  # a machine that has the first step
    assert late is not None
    assert [each.file for each in late.steps] == ["log/b.change.json"]
    assert taken(two, on(2, hours=1)) == Witnesses(in_force=on(2, hours=1), steps=())


def test_the_same_policy_needs_nothing() -> None:
    assert taken(bundle_of(0), None) == taken(bundle_of(0), on(0)) == Witnesses(in_force=on(0), steps=())
    written = policy_toml(POLICIES[0]) + b"# another layout\n"
    assert taken({"log/policy.toml": written}, on(0)) == Witnesses(in_force=on(0), steps=())
    assert taken({}, None) is None
    fresh = taken(bundle_of(1, 0, a_change=change(0, 1)), None)  # a new machine keeps the date of the step as well
    assert fresh is not None
    assert fresh.in_force == on(1, hours=1)


MISSING: Final[dict[str, tuple[Callable[[], dict[str, bytes]], str]]] = {
    "the change": (lambda: bundle_of(1, 0), "nothing leads from that to it"),
    "the log itself": (dict, "names no log"),
    "the old policy": (lambda: bundle_of(1, a_change=change(0, 1)), "lacks the policy"),
    "the old quorum": (lambda: bundle_of(1, 0, a_change=change(0, 1, cosigners=())), "cosigned by 0 of 1"),
    "the old witnesses": (lambda: bundle_of(1, 0, a_change=change(0, 1, cosigners=HELD[1])), "cosigned by 0 of 1"),
    "the log's key": (lambda: bundle_of(1, 0, a_change=change(0, 1, log=())), "not signed by the log"),
    "the operator": (lambda: bundle_of(1, 0, a_change=change(0, 1, by=KEY)), "no key that the policy names"),
    "the entry in the tree": (lambda: bundle_of(1, 0, a_change=change(0, 1, root=bytes(32))), "not in the log"),
    "the policy stated": (lambda: bundle_of(2, 0, a_change=change(0, 1)), "nothing leads from that to it"),
    "the policy before": (lambda: bundle_of(2, 0, 1, a_change=change(1, 2)), "nothing leads from that to it"),
    "a past date": (lambda: bundle_of(1, 0, a_change=change(0, 1, hours=-1)), "is in the future"),
}


@pytest.mark.parametrize("piece", MISSING)
def test_a_change_without_one_piece_is_refused(piece: str) -> None:
    make, why = MISSING[piece]
    assert why in refused(make(), on(0))


def test_an_older_change_does_not_count_again() -> None:
    """0 to 1, back to 0, then the first change once more."""
    first, back = change(0, 1, hours=3), change(1, 0, hours=2)
    returned = taken(bundle_of(0, 0, a_change=first, b_change=back), on(0))
    assert returned is not None
    assert returned.in_force == on(0, hours=2)
    assert "nothing leads" in refused(bundle_of(1, 0, a_change=first), returned.in_force)
    stated = lost(0, 1, hours=3)
    assert "nothing leads" in refused(bundle_of(1, a_lost=stated), returned.in_force)
    assert taken(bundle_of(1, 0, a_change=change(0, 1, hours=1)), returned.in_force) is not None
    stray = bundle_of(1, 0, a_change=change(0, 1), b_change=change(0, 2, hours=0.5))
    assert "follows another policy" in refused(stray, on(0))


def test_a_statement_of_loss_needs_the_offline_key() -> None:
    found = taken(bundle_of(1, a_lost=lost(0, 1)), on(0))
    assert found is not None
    assert found.in_force == on(1, hours=1)
    assert [each.how for each in found.steps] == ["lost"]
    assert "has no witnesses-lost.pem" in refused(bundle_of(1, a_lost=lost(0, 1)), on(0), lost=None)
    assert "is not signed by" in refused(bundle_of(1, a_lost=lost(0, 1, by=KEY)), on(0))
    assert "is of pool 'pool-8'" in refused(bundle_of(1, a_lost=lost(0, 1, pool="pool-8")), on(0))
    false = lost(0, 1).replace(b"both agencies", b"some agencies")
    assert "is not signed by" in refused(bundle_of(1, a_lost=false), on(0))
    assert "follows another policy" in refused(bundle_of(1, 0, a_lost=lost(2, 1)), on(0, hours=9))
    assert "nothing leads" in refused(bundle_of(2, a_lost=lost(0, 1)), on(0))
    assert "in the future" in refused(bundle_of(1, a_lost=lost(0, 1, hours=-1)), on(0))


def test_the_image_has_another_key_for_losses(tmp_path: Path) -> None:
    folder = keys_folder(tmp_path / "keys")
    assert accepted_in(folder).witnesses_lost is None
    (folder / WITNESSES_LOST).write_bytes(public_pem(OFFLINE))
    found = accepted_in(folder)
    assert found.witnesses_lost is not None
    assert len(found.keys) == 1  # it signs no bundle
    (folder / WITNESSES_LOST).write_bytes(public_pem(KEY))
    with pytest.raises(BundleRefused, match="is a key that signs bundles"):
        accepted_in(folder)


def test_the_files_of_a_log_are_read_at_the_desk() -> None:
    audit = b'receipt_keys = "receipt-keys"\n' + files()["audit.toml"] + LOG
    log = {"audit.toml": audit, "log/submitter.token": b"s" * 40, **bundle_of(1, 0, a_change=change(0, 1))}
    assert check_contents(files(changed=log), clouds=CLOUDS)
    for name, data in {"a.change.json": b"{}", "a.lost.json": b"[]", "b.change.json": lost(0, 1)}.items():
        with pytest.raises(BundleRefused, match=f"log/{name} cannot be read"):
            check_contents(files(changed={**log, f"log/{name}": data}), clouds=CLOUDS)
    other = {**log, "audit.toml": audit.replace(b'"log/policy.toml"', b'"log/p0.toml"')}
    with pytest.raises(BundleRefused, match=r"in another file than log/policy\.toml"):
        check_contents(files(changed=other), clouds=CLOUDS)
    for without in (files()["audit.toml"], None):
        with pytest.raises(BundleRefused, match=r"no \[log\] that uses it"):
            check_contents(files(changed={**log, "audit.toml": without}), clouds=CLOUDS)


def test_a_machine_without_a_log_may_go_back_to_an_earlier_image(tmp_path: Path) -> None:
    """That image reads exactly these two members."""
    keep(tmp_path, made(), None)
    assert (tmp_path / "applied.json").read_bytes() == b'{"pool":"pool-7","serial":7}'
    assert kept(tmp_path, "pool-7") == Kept(pool="pool-7", serial=7)
    log = InForce(policy_sha384=POLICIES[0].digest, time=None)
    keep(tmp_path, made(), log)
    assert kept(tmp_path, "pool-7").log == log
