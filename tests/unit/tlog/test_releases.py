"""Each rule of a log of releases, and each reason why a copy of it does not count."""

from typing import Any

import msgspec
import pytest

from cji_core.tlog.leaves import (
    LeafError,
    PolicyDecision,
    Release,
    decode_leaf,
    encode_leaf,
)
from cji_core.tlog.policy import Policy, PolicyError, encode_policy, read_policy
from cji_core.tlog.proofs import LogProof
from cji_core.tlog.releases import (
    MAX_ALL_BYTES,
    MAX_COPY_BYTES,
    MAX_ENTRIES,
    KnownReleases,
    ReleaseLog,
    ReleaseLogError,
    Releases,
    decode_copy,
    read_releases,
)
from cji_core.tlog.slots import Slot, Slots
from cji_core.trail.checkpoint import parse_cosigned
from tests.support.release_log import (
    NOW,
    ORIGIN,
    TIME,
    Publisher,
    a_release,
    an_image,
    pcrs_of,
    withdrawal,
)
from tests.support.tlog_site import Machine, policy_toml, signed
from tests.support.witness_trails import new_key


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    """0.1.9, withdrawn; 0.2.0 in force, as an image and as packages alone; a debug image."""
    found = Publisher()
    for release in releases():
        found.states(release)
    found.states(withdrawal(releases()[0]))
    return found


def releases() -> tuple[Release, ...]:
    return (
        a_release("0.1.9", 1),
        a_release("0.2.0", 2),
        a_release("0.2.0", 2, image=None),
        a_release("0.2.0", 3, image=an_image(3, flavour="debug")),
    )


def known(publisher: Publisher, now: int | None = NOW, **how: Any) -> KnownReleases:
    return read_releases(publisher.copy(**how), publisher.policy, now=now)


def takes(publisher: Publisher) -> Releases:
    return Releases.of(publisher.policy, publisher.entries)


def refused(rules: Releases, leaf: Any, cause: str) -> None:
    before = rules.all()
    with pytest.raises(LeafError) as caught:
        rules.take(decode_leaf(encode_leaf(leaf)))
    assert caught.value.cause == cause
    assert rules.all() == before


def test_a_copy_shows_every_release_and_withdrawal(publisher: Publisher) -> None:
    found = known(publisher)
    assert [each.release for each in found.releases.all()] == list(releases())
    assert [each.withdrawn is None for each in found.releases.all()] == [False, True, True, True]
    assert str(found.releases.all()[0]).endswith("withdrawn 2026-12-01T00:00:00.00Z: CVE-2026-1, ticket 4711")
    assert found.at == NOW
    assert found.note.size == len(publisher.entries)


def test_a_boot_is_of_the_release_with_all_its_pcrs(publisher: Publisher) -> None:
    found = known(publisher)
    (first, _), *others = found.booted(pcrs_of(1))
    assert (first.release.version, others) == ("0.1.9", [])
    (second, image), *_ = found.booted(pcrs_of(2))
    assert (second.release.version, image.flavour) == ("0.2.0", "production")
    assert found.booted(pcrs_of(4)) == found.booted(pcrs_of(2)[:8]) == ()


def test_the_pcrs_of_two_releases_are_of_none(publisher: Publisher) -> None:
    mixed = (*pcrs_of(2)[:9], *pcrs_of(1)[9:])
    found = known(publisher)
    assert found.booted(mixed) == ()
    assert [(pcr, [each.release.version for each in of]) for pcr, of in found.partly(mixed)] == [
        (4, ["0.2.0"]),
        (9, ["0.1.9"]),
        (11, ["0.1.9"]),
    ]


def test_a_version_is_released_once(publisher: Publisher) -> None:
    again = msgspec.structs.replace(releases()[1], commit="0d" * 20)
    refused(takes(publisher), signed(again, publisher.key), "released")
    takes(publisher).take(signed(a_release("0.2.0", 5, image=an_image(5, platform="other-cloud")), publisher.key))


def test_a_withdrawal_is_of_a_release_in_force(publisher: Publisher) -> None:
    rules = takes(publisher)
    refused(rules, signed(withdrawal(releases()[0]), publisher.key), "withdrawal")  # it was withdrawn
    refused(rules, signed(withdrawal(a_release("9.9.9")), publisher.key), "withdrawal")  # it is not there
    rules.take(signed(withdrawal(releases()[1]), publisher.key))


def test_publishers_alone_release(publisher: Publisher) -> None:
    rules, release = takes(publisher), a_release("0.3.0")
    refused(rules, signed(release, publisher.operator), "signature")
    refused(rules, signed(withdrawal(releases()[1]), new_key()), "signature")
    changed = msgspec.structs.replace(signed(release, publisher.key), decision=a_release("0.3.1"))
    refused(rules, changed, "signature")


def test_operators_alone_change_the_policy(publisher: Publisher) -> None:
    text = encode_policy(publisher.policy.file).decode()
    change = PolicyDecision(
        origin=ORIGIN, previous_sha384="0a" * 48, policy=text, operator="j", explanation="x", time=TIME
    )
    refused(takes(publisher), signed(change, publisher.key), "signature")
    takes(publisher).take(signed(change, publisher.operator))


def test_a_statement_for_another_log_is_refused(publisher: Publisher) -> None:
    elsewhere = a_release("0.3.0", origin="other.example/releases")
    refused(takes(publisher), signed(elsewhere, publisher.key), "decision")


def test_the_two_kinds_of_log_do_not_mix(publisher: Publisher, tmp_path: Any) -> None:
    refused(takes(publisher), Machine(folder=tmp_path).leaf(), "decision")
    kept: dict[str, Slot] = {}
    slots = Slots(kept.get, kept.__setitem__, operators=[publisher.key.public_key()], origin=ORIGIN)
    with pytest.raises(LeafError) as caught:
        slots.take(signed(a_release(), publisher.key))
    assert caught.value.cause == "decision"
    of_trails = Policy(msgspec.structs.replace(publisher.policy.file, publishers=msgspec.UNSET))
    with pytest.raises(ReleaseLogError, match="of trails"):
        read_releases(publisher.copy(), of_trails, now=NOW)


def test_a_log_ends_before_its_readers_do(publisher: Publisher) -> None:
    rules = takes(publisher)
    rules._count = MAX_ENTRIES  # a thousand signatures would take seconds
    refused(rules, signed(a_release("0.3.0"), publisher.key), "full")
    rules._count, rules._bytes = 1, MAX_ALL_BYTES
    refused(rules, signed(a_release("0.3.0"), publisher.key), "full")


@pytest.mark.parametrize("by", [(0, 1), (1, 2)])
def test_a_copy_without_a_quorum_is_refused(publisher: Publisher, by: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match="2 of 3"):
        known(publisher, by=by)


def test_an_old_checkpoint_is_refused(publisher: Publisher) -> None:
    age = publisher.policy.file.max_age_seconds
    assert known(publisher, now=NOW + age).at == NOW
    with pytest.raises(PolicyError, match="0 of 3 witnesses within max_age_seconds"):
        known(publisher, now=NOW + age + 1)
    assert known(publisher, now=NOW - 10 * age).at == NOW  # who looks back has a later copy
    assert known(publisher, now=None).at == NOW


@pytest.mark.parametrize("change", ["left out", "added", "exchanged"])
def test_every_entry_is_under_the_checkpoint(publisher: Publisher, change: str) -> None:
    """A withdrawal that is left out is one of these."""
    copy = decode_copy(publisher.copy())
    entries = {
        "left out": copy.entries[:-1],
        "added": (*copy.entries, copy.entries[-1]),
        "exchanged": (copy.entries[1], copy.entries[0], *copy.entries[2:]),
    }[change]
    data = msgspec.structs.replace(copy, entries=entries).encode()
    with pytest.raises(ReleaseLogError, match="not those of its checkpoint"):
        read_releases(data, publisher.policy, now=NOW)


def test_an_entry_that_the_rules_refuse_is_in_no_log() -> None:
    """A log that took one has lost its readers: it may have lost a key."""
    publisher = Publisher()
    publisher.states(a_release(), new_key())
    with pytest.raises(LeafError, match="signature"):
        known(publisher)


def test_another_log_s_copy_is_refused(publisher: Publisher) -> None:
    with pytest.raises(PolicyError):
        read_releases(Publisher().copy(), publisher.policy, now=NOW)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"entries":[],"checkpoint":"x","more":1}', b" " * (MAX_COPY_BYTES + 1)])
def test_other_bytes_are_no_copy(data: bytes) -> None:
    with pytest.raises(ReleaseLogError):
        decode_copy(data)


def test_a_later_copy_continues_the_earlier_one(publisher: Publisher) -> None:
    whole = decode_copy(publisher.copy())
    earlier = ReleaseLog(entries=whole.entries[:2], checkpoint=publisher.checkpoint(size=2))
    known(publisher).continues(earlier)
    other = msgspec.structs.replace(earlier, entries=(whole.entries[1], whole.entries[0]))
    longer = msgspec.structs.replace(earlier, entries=(*whole.entries, whole.entries[0]))
    for each in (other, longer):
        with pytest.raises(ReleaseLogError, match="two histories"):
            known(publisher).continues(each)


def test_an_entry_s_own_proof_is_of_the_same_history(publisher: Publisher) -> None:
    found = known(publisher)
    note = parse_cosigned(publisher.checkpoint(size=1).encode())
    proof = LogProof(index=0, hashes=(), note=note)
    assert found.shows(publisher.entries[0], proof).release == releases()[0]
    other = Publisher(entries=[publisher.entries[1]])
    elsewhere = LogProof(index=0, hashes=(), note=parse_cosigned(other.checkpoint().encode()))
    with pytest.raises(ReleaseLogError, match="another history"):
        found.shows(publisher.entries[1], elsewhere)


def test_a_policy_of_trails_has_the_form_that_it_had(publisher: Publisher) -> None:
    """`publishers` is no member of it: its digest, which statements name, is the one of before."""
    of_trails = msgspec.structs.replace(publisher.policy.file, publishers=msgspec.UNSET)
    assert b"publishers" not in encode_policy(of_trails)
    assert read_policy(policy_toml(publisher.policy)).digest == publisher.policy.digest


@pytest.mark.parametrize("version", ["1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "v1.2.3", "1.2.3+build", "1.2.3\n"])
def test_a_version_is_semantic(version: str) -> None:
    leaf = signed(a_release(), new_key())
    with pytest.raises(LeafError, match="form"):
        encode_leaf(msgspec.structs.replace(leaf, decision=a_release(version)))
    encode_leaf(msgspec.structs.replace(leaf, decision=a_release("1.2.3-rc.1")))


def test_pcrs_and_artefacts_have_one_order() -> None:
    image, release = an_image(), a_release()
    for pcrs in (image.pcrs[::-1], image.pcrs[:2], image.pcrs * 2):
        with pytest.raises(ValueError, match="PCRs"):
            msgspec.convert({**msgspec.to_builtins(image), "pcrs": msgspec.to_builtins(pcrs)}, type(image))
    doubled = {**msgspec.to_builtins(release), "artefacts": msgspec.to_builtins(release.artefacts * 2)}
    with pytest.raises(ValueError, match="artefacts"):
        msgspec.convert(doubled, Release)
