"""A retention log: what is refused, what is found, and what the log then says."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.retention.chain import Log, RetentionLogError, compare, read_log, waits_for_purge
from cji_audit.retention.log import local_documents
from cji_audit.retention.records import Deleted, Outcome, Purged, sign_record
from cji_core.jose import key_id
from cji_core.pairs import SigningPair
from tests.support.receipts import CLAIMS, signed_receipt
from tests.support.retention_records import (
    DELETED,
    DELETION,
    HOLD,
    JOB,
    KEY,
    PURGED,
    RELEASE,
    documents,
    record,
)

KEYS = {key_id(KEY.public_key()): KEY.public_key()}


def rules(log: Log) -> list[tuple[str, int]]:
    return [(each.rule, each.number) for each in log.end()]


def refused(texts: list[str]) -> tuple[str, int]:
    with pytest.raises(RetentionLogError) as raised:
        read_log(texts, KEYS)
    return raised.value.fault, raised.value.number


def test_a_log_says_what_is_gone_and_what_is_held() -> None:
    log = read_log(documents(DELETION, DELETED, PURGED, HOLD, times={3: "2028-03-17T00:00:00.00Z"}), KEYS)
    assert (log.size, log.end(), log.on_hold, log.purged) == (4, [], {JOB}, {0})
    assert log.deleted[0].recoverable_until == "2028-03-15T12:00:00.00Z"
    assert log.signers == set(KEYS)


def test_a_pair_signs_records_too() -> None:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    pair = SigningPair(mldsa.MLDSA87PrivateKey.generate(), KEY)
    public = pair.public_key()
    assert read_log(documents(HOLD, key=pair), {key_id(public): public}).size == 1


def test_every_record_is_the_next_one_of_a_known_key() -> None:
    one, two, three = documents(HOLD, RELEASE, HOLD)
    assert refused([one, three]) == ("number", 1)
    assert refused([two]) == ("number", 0)
    assert refused([one, one]) == ("number", 1)
    other = documents(RELEASE, RELEASE)[1]
    assert refused([one, other]) == ("previous", 1)
    assert refused(documents(HOLD, key=ec.generate_private_key(ec.SECP384R1()))) == ("key", 0)
    head, body, signature = one.split(".")
    flipped = ("A" if signature[9] != "A" else "B").join((signature[:9], signature[10:]))
    assert refused([f"{head}.{body}.{flipped}"]) == ("signature", 0)
    assert refused([one[:-4]])[0] in {"form", "signature"}
    assert refused(["noise"]) == ("form", 0)


def test_a_log_is_of_one_account() -> None:
    (one,) = documents(HOLD)
    log = read_log([one], KEYS)
    moved = record(RELEASE, number=1, previous=log.head, account="https://other.blob.core.windows.net")
    assert refused([one, sign_record(moved, KEY)]) == ("account", 1)


def test_a_deletion_before_its_time_is_found() -> None:
    early = msgspec.structs.replace(DELETION, until="2028-03-02T12:00:00.00Z", days=62)
    assert rules(read_log(documents(early, DELETED), KEYS)) == [("early", 0)]
    for wrong in ({"until": "2028-02-28T12:00:00.00Z"}, {"days": 61}, {"since": "2027-02-30T12:00:00.00Z"}):
        bad = msgspec.structs.replace(DELETION, **wrong)
        assert rules(read_log(documents(bad, DELETED), KEYS)) == [("early", 0)]


def test_a_deletion_under_a_hold_is_found() -> None:
    assert rules(read_log(documents(HOLD, DELETION, msgspec.structs.replace(DELETED, of=1)), KEYS)) == [("held", 1)]
    acts = (HOLD, RELEASE, DELETION, msgspec.structs.replace(DELETED, of=2))
    assert rules(read_log(documents(*acts), KEYS)) == []


def test_outcomes_belong_to_one_open_deletion() -> None:
    assert rules(read_log(documents(DELETION), KEYS)) == [("unfinished", 0)]
    assert rules(read_log(documents(DELETION, DELETED, DELETED), KEYS)) == [("outcome", 2)]
    assert rules(read_log(documents(HOLD, DELETED), KEYS)) == [("outcome", 1)]
    two = Deleted(of=0, outcomes=DELETED.outcomes * 2)
    assert rules(read_log(documents(DELETION, two), KEYS)) == [("outcome", 1)]


def test_an_erasure_follows_what_the_service_kept() -> None:
    early = {2: "2028-03-15T11:59:59.00Z"}
    assert rules(read_log(documents(DELETION, DELETED, PURGED, times=early), KEYS)) == [("purged", 2)]
    assert rules(read_log(documents(DELETION, DELETED, PURGED, PURGED), KEYS)) == [("purged", 3)]
    assert rules(read_log(documents(HOLD, Purged(of=(0,))), KEYS)) == [("purged", 1)]
    log = read_log(documents(DELETION, DELETED), KEYS)
    assert waits_for_purge(log, "2028-03-15T11:59:59.00Z") == []
    assert waits_for_purge(log, "2028-03-15T12:00:00.00Z") == [0]


def test_only_what_is_held_is_released() -> None:
    assert rules(read_log(documents(RELEASE), KEYS)) == [("release", 0)]
    assert rules(read_log(documents(HOLD, RELEASE, RELEASE), KEYS)) == [("release", 2)]


def test_a_clock_that_went_back_is_found() -> None:
    log = read_log(documents(HOLD, RELEASE, times={0: "2028-01-03T00:00:00.00Z"}), KEYS)
    assert rules(log) == [("time", 1)]


def test_what_was_kept_is_counted_and_never_erased() -> None:
    kept = Outcome(state="kept", why="LEGAL_HOLD")
    log = read_log(documents(DELETION, Deleted(of=0, outcomes=(kept,))), KEYS)
    assert log.deleted[0].kept == 1
    assert waits_for_purge(log, "2030-01-01T00:00:00.00Z") == []
    two = msgspec.structs.replace(DELETION, blobs=DELETION.blobs * 2)
    log = read_log(documents(two, Deleted(of=0, outcomes=(*DELETED.outcomes, kept)), PURGED), KEYS)
    assert (log.end(), log.purged, log.is_erased(0)) == ([], {0}, False)
    assert read_log(documents(DELETION, DELETED, PURGED), KEYS).is_erased(0)


def test_a_copy_with_a_gap_is_no_shorter_log(tmp_path: Path) -> None:
    for number, text in enumerate(documents(HOLD, RELEASE, HOLD)):
        (tmp_path / f"{number:010d}.jws").write_text(text + "\n")
    assert len(local_documents(tmp_path)) == 3
    (tmp_path / "0000000001.jws").unlink()
    with pytest.raises(RetentionLogError) as raised:
        local_documents(tmp_path)
    assert (raised.value.fault, raised.value.number) == ("number", 1)


def test_receipts_that_were_kept_are_compared() -> None:
    from cji_core.trail.receipts import receipt_sha384

    receipt = signed_receipt(job_id=JOB, ended="2027-12-31T11:00:00.00Z")
    named = msgspec.structs.replace(DELETION, receipt_sha384=receipt_sha384(receipt))
    log = read_log(documents(named, DELETED), KEYS)
    assert compare(log, [receipt]) == []
    other = signed_receipt(job_id=JOB, ended=CLAIMS.ended, sequence=9)
    assert [each.rule for each in compare(log, [other])] == ["receipt"]
    late = signed_receipt(job_id=JOB, ended="2027-12-31T12:00:00.01Z")
    log = read_log(documents(msgspec.structs.replace(named, receipt_sha384=receipt_sha384(late)), DELETED), KEYS)
    assert [each.what for each in compare(log, [late])] == [f"job {JOB} ended later, at 2027-12-31T12:00:00.01Z"]
    assert compare(log, [signed_receipt(job_id="02" * 16)]) == []
