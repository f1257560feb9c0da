"""The quorum of a policy: which sets of cosignatures count, and which policies prove nothing."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_core.errors import StartupError
from cji_core.jose import public_jwk
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, new_signers
from cji_core.tlog.policy import (
    MAX_WITNESSES,
    Policy,
    PolicyError,
    PolicyFile,
    WitnessTable,
    decode_policy,
    encode_policy,
    load_policy,
)
from cji_core.trail.checkpoint import Checkpoint, parse_cosigned
from tests.support.tlog_site import ORIGIN
from tests.support.witness_trails import new_key
from tests.unit.tlog.test_formats import COSIGNED

NOW = 1_790_000_000
LOG = new_signers(ORIGIN, LOG_TYPES)
WITNESSES = [new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(4)]
OPERATOR = public_jwk(new_key().public_key())


def table(number: int, *, agency: bool = False) -> WitnessTable:
    keys = tuple(each.key.vkey for each in WITNESSES[number])
    return WitnessTable(name=f"w{number}", url="https://w.example", keys=keys, agency=agency)


def named(name: str) -> WitnessTable:
    """A witness of its own keys under another signer's name: of 2^32 keys, one has the other's key id, too."""
    keys = tuple(each.key.vkey for each in new_signers(name, WITNESS_TYPES))
    return WitnessTable(name="evil", url="https://evil.example", keys=keys)


def file(count: int = 4, **changes: Any) -> PolicyFile:
    found = PolicyFile(
        origin=ORIGIN,
        url="https://log.pd.example/trails",
        keys=tuple(each.key.vkey for each in LOG),
        operators=(OPERATOR,),
        witnesses=tuple(table(number, agency=number < 3) for number in range(count)),
    )
    return msgspec.structs.replace(found, **changes)


def note(*cosigners: int, at: int = NOW, kinds: int = 2, log: int = 2) -> Checkpoint:
    text = COSIGNED.split(b"\n\n")[0].replace(b"example.com/behind-the-sofa", ORIGIN.encode()) + b"\n"
    bare = Checkpoint(origin=ORIGIN, size=20852163, root=bytes(32), text=text, signatures=())
    signers = [*LOG[:log], *(each for number in cosigners for each in WITNESSES[number][:kinds])]
    made = tuple(each.sign(bare, at=at) for each in signers)
    return Checkpoint(origin=ORIGIN, size=bare.size, root=bare.root, text=text, signatures=made)


@pytest.mark.parametrize("cosigners", [(0, 1, 3), (0, 1, 2, 3), (3, 2, 1)])
def test_a_quorum_with_an_outsider_counts(cosigners: tuple[int, ...]) -> None:
    found = Policy(file()).accept(note(*cosigners), now=NOW + 5)
    assert set(found.seen) == {f"w{each}" for each in cosigners}
    assert found.at == NOW


@pytest.mark.parametrize("cosigners", [(), (0, 3), (0, 1, 2), (3, 3, 3)])
def test_fewer_or_the_agencys_alone_do_not(cosigners: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match="cosigned by"):
        Policy(file()).accept(note(*cosigners), now=NOW)


@pytest.mark.parametrize(("seconds", "good"), [(86_400, True), (86_401, False), (-300, True), (-301, False)])
def test_cosignatures_age(seconds: int, good: bool) -> None:
    policy = Policy(file())
    if good:
        policy.accept(note(0, 1, 3), now=NOW + seconds)
        return
    with pytest.raises(PolicyError):
        policy.accept(note(0, 1, 3), now=NOW + seconds)
    policy.accept(note(0, 1, 3), now=None)


def test_every_pinned_key_must_sign() -> None:
    with pytest.raises(PolicyError, match="cosigned by 0"):
        Policy(file()).accept(note(0, 1, 3, kinds=1), now=NOW)
    with pytest.raises(PolicyError, match="the log's key"):
        Policy(file()).accept(note(0, 1, 3, log=1), now=NOW)


def test_the_most_witnesses_all_fit_into_a_note() -> None:
    signers = [new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(MAX_WITNESSES)]
    tables = tuple(
        WitnessTable(name=f"w{number}", url="https://w.example", keys=tuple(each.key.vkey for each in own))
        for number, own in enumerate(signers)
    )
    policy = Policy(file(witnesses=tables, quorum=MAX_WITNESSES))
    bare = parse_cosigned(note().encode())
    made = tuple(each.sign(bare, at=NOW) for own in (LOG, *signers) for each in own)
    full = Checkpoint(origin=ORIGIN, size=bare.size, root=bare.root, text=bare.text, signatures=made)
    assert len(policy.read(full.encode(), now=NOW).seen) == MAX_WITNESSES


def test_a_checkpoint_of_another_log_is_refused() -> None:
    good = note(0, 1, 3)
    other = Checkpoint(origin="x.example", size=good.size, root=good.root, text=good.text, signatures=good.signatures)
    with pytest.raises(PolicyError, match="another log"):
        Policy(file()).accept(other, now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"quorum": 2},
        {"quorum": 5},
        {"faulty": 2},
        {"witnesses": tuple(table(number, agency=True) for number in range(4))},
        {"witnesses": (table(0), table(0), table(1), table(2))},
        {"witnesses": (table(0), msgspec.structs.replace(table(0), name="other"), table(1), table(2))},
        {"witnesses": (table(0), table(1), table(2), named("w0.example"))},
        {"witnesses": (table(0), table(1), table(2), named(ORIGIN))},
        {"origin": "other.example/log"},
        {"keys": (LOG[1].key.vkey,)},
        {"keys": (WITNESSES[0][0].key.vkey,)},
        {"operators": ("{}",)},
    ],
)
def test_a_policy_that_proves_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for people
        Policy(file(**changes))


def test_a_policy_has_one_form_and_one_digest() -> None:
    policy = Policy(file())
    assert decode_policy(encode_policy(policy.file)).digest == policy.digest
    assert Policy(file(max_age_seconds=60)).digest != policy.digest


def test_a_policy_file_is_read_or_refused(tmp_path: Path) -> None:
    for text in ("", "x = 1", 'origin = "a b"', "\0", 'url = "http://log.example"'):
        (tmp_path / "policy.toml").write_text(text)
        with pytest.raises(StartupError):
            load_policy(tmp_path / "policy.toml")
    with pytest.raises(StartupError):
        load_policy(tmp_path / "none.toml")
