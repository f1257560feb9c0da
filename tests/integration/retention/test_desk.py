"""Runs, holds and their records against a storage with versions, soft delete and legal holds."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET

from cji_audit.retention.chain import RetentionLogError
from cji_audit.retention.desk import ContainerError, HoldError
from cji_audit.retention.log import local_documents, record_name
from cji_audit.retention.records import record_unverified
from cji_core.pool import names
from cji_core.pool.errors import BlobAbsentError, StoreError
from tests.support.blob_service import BlobService, RefusedError
from tests.support.retention_desk import CANARY, ENDED, Bench, job_id, put_job


def states(found: list) -> dict[tuple[str, str], tuple[str, str]]:  # type: ignore[type-arg]
    return {(each.job.id, each.area): (each.state, each.why) for each in found}


def test_what_is_due_is_deleted_with_a_proof(service: BlobService, bench: Bench) -> None:
    job, other = put_job(service.put, 1), put_job(service.put, 2, ended=ENDED + timedelta(days=1))
    ran = bench.desk().run()
    assert [(each.job, each.area) for each, _ in ran.deletions.values()] == [(job, "input")]
    assert service.names("jobs") == {names.header(other), names.part(other, 0), names.part(other, 1)}
    (deletion, deleted), state = ran.deletions[0], bench.state()
    assert (deletion.since_by, deletion.days, len(deletion.blobs)) == ("created", 7, 3)
    assert deletion.receipt_sha384 is not UNSET
    assert deletion.kek_id is not UNSET
    assert {each.state for each in deleted.outcomes} == {"deleted"}
    assert all(each.request_id is not UNSET and each.recoverable_until is not UNSET for each in deleted.outcomes)
    assert (state.size, state.end()) == (2, [])
    record = record_unverified(local_documents(bench.folder / "log")[0])
    assert (record.operator, record.explanation) == ("jdoe", "schedule 7")
    assert record.principal == "22222222-2222-4222-8222-222222222222"


def test_nothing_goes_a_second_before_its_time(service: BlobService, bench: Bench) -> None:
    """A creation is stated in whole seconds, cut off: the receipt was made up to a second later."""
    job = put_job(service.put, 1)
    service.now = ENDED + timedelta(days=7)
    assert states(bench.desk().due())[job, "input"] == ("kept", "KEPT")
    assert bench.desk().run().deletions == {}
    service.now += timedelta(seconds=1)
    assert states(bench.desk().due())[job, "input"] == ("due", "DUE")


def test_a_clock_that_is_slow_deletes_nothing(service: BlobService, bench: Bench) -> None:
    put_job(service.put, 1)
    bench.clock = lambda: ENDED + timedelta(days=6)
    assert bench.desk().run().deletions == {}


def test_versions_and_snapshots_go_too(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    service.put("jobs", names.part(job, 0), b"another", at=ENDED - timedelta(minutes=3))
    service.snapshot("jobs", names.part(job, 1)).modified = ENDED
    ran = bench.desk().run()
    assert {each.state for each in ran.deletions[0][1].outcomes} == {"deleted"}
    assert len(ran.deletions[0][0].blobs) == 5
    assert service.names("jobs") == set()


def test_the_proof_goes_last(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    service.now = ENDED + timedelta(days=401)
    assert states(bench.desk().due())[job, "proof"] == ("kept", "OTHERS_FIRST")
    bench.desk().run()
    assert service.names("results") == {names.receipt(job)}
    bench.desk().run()
    assert service.names("results") == set()
    assert [each.deletion.area for each in bench.state().deleted.values()] == ["input", "result", "proof"]


def test_erasure_is_recorded_once_the_service_lists_nothing(service: BlobService, bench: Bench) -> None:
    put_job(service.put, 1)
    bench.desk().run()
    service.now += timedelta(days=14, hours=1)
    assert bench.desk().run().purged == []  # the days are whole: it is recorded a day later at the latest
    service.now += timedelta(days=1)
    assert bench.desk().run().purged == [0]
    assert bench.state().purged == {0}
    assert bench.desk().run().purged == []


def test_what_was_recovered_is_never_erased(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    bench.desk().run()
    service.soft_delete_days = 365
    try:
        service.now += timedelta(days=16)
        assert bench.desk().run().purged == []
    finally:
        service.soft_delete_days = 14
    assert job


def test_a_held_job_is_refused_by_name(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    assert bench.desk().hold("4711", [job]) == 5
    assert states(bench.desk().due())[job, "input"] == ("held", "LEGAL_HOLD")
    assert bench.desk().run().deletions == {}
    assert bench.state().on_hold == {job}
    assert all(version.held for (of, _), found in service.blobs.items() if of != "retention" for version in found)


def test_a_hold_of_another_tool_is_honoured(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    service.current("jobs", names.part(job, 1)).held = True
    assert states(bench.desk().due())[job, "result"] == ("held", "LEGAL_HOLD")
    assert bench.desk().run().deletions == {}


def test_a_blob_that_came_after_the_hold_is_held(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [job])
    service.put("jobs", names.cancel(job), b"", at=ENDED)
    assert states(bench.desk().due())[job, "input"] == ("held", "HOLD_INCOMPLETE")
    bench.desk().hold("4711", [job])
    assert states(bench.desk().due())[job, "input"] == ("held", "LEGAL_HOLD")


def test_a_release_leaves_what_another_case_holds(service: BlobService, bench: Bench) -> None:
    one, two = put_job(service.put, 1), put_job(service.put, 2)
    bench.desk().hold("4711", [one, two])
    bench.desk().hold("4712", [two])
    assert bench.desk().release("4711") == [one]
    found = states(bench.desk().due())
    assert (found[one, "input"][0], found[two, "input"][0]) == ("due", "held")
    with pytest.raises(HoldError, match="no case 4713"):
        bench.desk().release("4713")
    with pytest.raises(HoldError, match=job_id(9)):
        bench.desk().hold("4714", [job_id(9)])


def test_a_release_that_was_cut_short_is_completed(service: BlobService, bench: Bench) -> None:
    """Recorded first: the record is there, Azure's hold is still on."""
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [job])
    bench.desk().release("4711")
    service.current("jobs", names.part(job, 0)).held = True
    assert bench.desk().run().deletions == {}
    assert bench.desk().release("4711") == [job]
    assert len(bench.desk().run().deletions) == 1


def test_a_hold_during_a_release_stays_on(service: BlobService, bench: Bench) -> None:
    job, counsel = put_job(service.put, 1), bench.desk("counsel")
    bench.desk().hold("4711", [job])

    def before(method: str, path: str) -> None:
        if method == "PUT" and "comp=legalhold" in path:
            service.before = lambda _method, _path: None
            counsel.hold("4712", [job])

    service.before = before
    assert bench.desk().release("4711") == []
    assert states(bench.desk().due())[job, "input"] == ("held", "LEGAL_HOLD")


def test_a_hold_between_listing_and_record_wins(service: BlobService, bench: Bench) -> None:
    """The record of the deletion does not get its number, and the holds are read again."""
    job = put_job(service.put, 1)
    counsel, once = bench.desk("counsel"), iter([True])

    def before(method: str, path: str) -> None:
        if method == "PUT" and record_name(0) in path and next(once, False):
            service.before = lambda _method, _path: None
            counsel.hold("4711", [job])

    service.before = before
    assert bench.desk().run().deletions == {}
    assert len(service.names("jobs")) == 3
    assert [type(each).__name__ for each in bench.state().open.values()] == []


def test_a_hold_between_record_and_deletion_wins(service: BlobService, bench: Bench) -> None:
    """Azure's own hold, which no listing has shown: the service refuses, and the outcome says so."""
    job = put_job(service.put, 1)

    def before(method: str, path: str) -> None:
        if method == "DELETE":
            service.current("jobs", names.part(job, 0)).held = True
            service.before = lambda _method, _path: None

    service.before = before
    (_, deleted), *_ = bench.desk().run().deletions.values()
    assert [(each.state, each.why) for each in deleted.outcomes] == [
        ("deleted", UNSET),
        ("kept", "LEGAL_HOLD"),
        ("deleted", UNSET),
    ]
    assert service.current("jobs", names.part(job, 0)).data.startswith(CANARY)


def test_a_blob_that_changed_is_not_deleted(service: BlobService, bench: Bench) -> None:
    service.versioned = False
    job = put_job(service.put, 1)

    def before(method: str, path: str) -> None:
        if method == "DELETE":
            service.put("jobs", names.part(job, 0), b"newer")
            service.before = lambda _method, _path: None

    service.before = before
    (_, deleted), *_ = bench.desk().run().deletions.values()
    assert [each.why for each in deleted.outcomes] == [UNSET, "CHANGED", UNSET]
    assert service.current("jobs", names.part(job, 0)).data == b"newer"


def test_a_run_that_was_cut_short_is_completed(service: BlobService, bench: Bench) -> None:
    """At every fourth request of it: the next run leaves one proof of everything that is gone."""
    for cut in range(1, 60, 4):
        service.blobs.clear()
        job, count, folder = put_job(service.put, 1), iter(range(cut)), f"cut-{cut}"

        def before(_method: str, _path: str, count=count) -> None:  # type: ignore[no-untyped-def]
            if next(count, None) is None:
                raise RefusedError(403, "AuthorizationFailure")

        service.before = before
        try:
            bench.desk(folder).run()
        except StoreError:
            is_over = False
        else:
            is_over = True
        service.before = lambda _method, _path: None
        bench.desk(folder).run()
        state = bench.log(f"{folder}-reader").load()
        assert state.end() == []
        gone = [blob.name for each in state.deleted.values() for blob in each.deletion.blobs]
        assert sorted(gone) == sorted({names.header(job), names.part(job, 0), names.part(job, 1)})
        assert service.names("jobs") == set()
        if is_over:
            assert cut > 10
            return
    raise AssertionError("a run has more requests than that")


def test_a_receipt_of_another_job_keeps_the_job(service: BlobService, bench: Bench) -> None:
    job, other = put_job(service.put, 1), put_job(service.put, 2)
    receipt = service.current("results", names.receipt(other)).data
    service.put("results", names.receipt(job), receipt, at=ENDED)
    found = states(bench.desk().due())
    assert found[job, "input"] == ("refused", "UNREADABLE")
    assert found[other, "input"] == ("due", "DUE")


def test_a_job_without_an_end_waits_for_its_header(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1, receipt=False)
    for found in (versions for (of, _), versions in service.blobs.items() if of == "results"):
        found[0].modified = ENDED - timedelta(minutes=5)
    assert states(bench.desk().due())[job, "input"][0] == "kept"  # not_after is 55 minutes after the end
    service.now += timedelta(hours=1)
    (deletion, _), *_ = bench.desk().run().deletions.values()
    assert (deletion.since_by, deletion.receipt_sha384) == ("not_after", UNSET)


def test_a_foreign_record_stops_everything(service: BlobService, bench: Bench) -> None:
    put_job(service.put, 1)
    bench.desk().run()
    service.put("retention", record_name(2), b"noise")
    with pytest.raises(RetentionLogError) as raised:
        bench.desk("other").run()
    assert (raised.value.fault, raised.value.number) == ("form", 2)


def test_a_changed_container_is_found_by_the_copy(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [job])
    del service.blobs["retention", record_name(0)]
    with pytest.raises(BlobAbsentError):
        bench.desk().due()
    service.put("retention", record_name(0), b"noise")
    with pytest.raises(RetentionLogError) as raised:
        bench.desk().due()
    assert raised.value.fault == "previous"


def test_no_record_is_made_that_readers_refuse(service: BlobService, bench: Bench) -> None:
    """Nobody can take a record back: one of another key or account would end the log for good."""
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [put_job(service.put, 2)])
    stranger, elsewhere = bench.desk("stranger"), bench.desk("elsewhere")
    assert stranger._maker is not None
    stranger._maker = replace(stranger._maker, key=ec.generate_private_key(ec.SECP384R1()))
    elsewhere._account = replace(elsewhere._account, url="https://other.blob.core.windows.net")
    for desk, fault in ((stranger, "key"), (elsewhere, "account")):
        for act in (desk.run, lambda desk=desk: desk.hold("4712", [job])):
            with pytest.raises(RetentionLogError) as raised:
                act()
            assert raised.value.fault == fault
    assert len(service.names("jobs")) == 6
    assert not service.current("jobs", names.part(job, 0)).held
    assert (bench.state().size, bench.state().end()) == (1, [])


def test_an_unknown_container_is_no_absence(service: BlobService, bench: Bench) -> None:
    """A deletion that was cut short, completed with rules that name another container."""
    put_job(service.put, 1)

    def before(method: str, _path: str) -> None:
        if method == "DELETE":
            raise RefusedError(403, "AuthorizationFailure")

    service.before = before
    with pytest.raises(StoreError):
        bench.desk().run()
    service.before = lambda _method, _path: None
    desk = bench.desk()
    desk._account = replace(desk._account, inputs=desk._account.results)
    with pytest.raises(ContainerError, match="container jobs"):
        desk.run()
    assert [each.state for each in bench.desk().run().deletions[0][1].outcomes] == ["deleted"] * 3


def test_of_two_at_once_one_record_is_made(service: BlobService, bench: Bench) -> None:
    """An erasure is confirmed, and a hold released, once."""
    job = put_job(service.put, 1)
    bench.desk().run()
    service.now += timedelta(days=16)

    def meanwhile(number: int, act: Callable[[], object]) -> None:
        def before(method: str, path: str) -> None:
            if method == "PUT" and record_name(number) in path:
                service.before = lambda _method, _path: None
                act()

        service.before = before

    meanwhile(2, bench.desk("other").run)
    bench.desk().run()
    bench.desk().hold("4711", [job])
    meanwhile(4, lambda: bench.desk("other").release("4711"))
    assert bench.desk().release("4711") == [job]
    assert (bench.state().size, bench.state().end(), bench.state().purged) == (5, [], {0})


def test_clocks_of_the_service_may_differ_a_little(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [job])
    service.now -= timedelta(seconds=2)
    bench.desk().release("4711")
    assert bench.state().end() == []
    service.now -= timedelta(minutes=5)
    bench.desk().hold("4711", [job])
    assert [each.rule for each in bench.state().end()] == ["time"]


def test_records_have_no_content_of_blobs(service: BlobService, bench: Bench) -> None:
    job = put_job(service.put, 1)
    bench.desk().hold("4711", [job])
    bench.desk().release("4711")
    bench.desk().run()
    text = bench.text()
    assert job in text
    assert CANARY.decode() not in text
    assert bench.state().deleted[2].deletion.job == job
