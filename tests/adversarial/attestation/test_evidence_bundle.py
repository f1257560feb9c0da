"""Configuration bundles that evidence shows: measured once, before the worker, and pinned."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cji_attestation import Fault
from cji_attestation.appraisal import check_reference
from cji_attestation.evidence import Evidence, MeasuredBoot, qualifying_data, read_logs
from cji_attestation.evidence.event_log import MAX_SERIAL, AppliedBundle, bundle_event, bundle_record, read_bundle_event
from cji_attestation.evidence_file import read_update, written_update
from cji_simulator.measured_boot import USERSPACE, Measurement, encode, record, said
from tests.support.boot_forge import LINE, firmware, replayed, second_quote, start_of, with_boot
from tests.support.evidence import refused
from tests.support.forge import QUALIFYING, RECEIPT_KEY, decided, machine, quote_structure
from tests.support.refusals import rejected

BUNDLE = AppliedBundle(7, b"\xab" * 48)
OTHER = AppliedBundle(8, b"\xcd" * 48)


def event(bundle: AppliedBundle) -> Measurement:
    return said(15, bundle_event(bundle).decode())


def of(*events: Measurement) -> Evidence:
    """Evidence of a boot with these events of userspace before the worker's start."""
    return with_boot(userspace=[*USERSPACE, *events])


def in_order(*events: Measurement) -> Evidence:
    """Evidence whose userspace log has exactly these events behind the boot, a start among them."""
    sound = with_boot()
    pcrs = replayed((*firmware(), *USERSPACE, *events))
    boot = MeasuredBoot(
        **second_quote(pcrs[8:], extra=QUALIFYING),
        pcrs=pcrs[8:],
        firmware_log=encode(firmware()),
        userspace_log=b"".join(map(record, (*USERSPACE, *events))),
        command_line=LINE,
    )
    made = machine().evidence(pcrs=pcrs[:8], quote=quote_structure(pcrs[:8], extra=QUALIFYING))
    return replace(made, version=sound.version, boot=boot)


def checks(evidence: Evidence, **pins: Any) -> dict[str, str]:
    return dict(machine().appraise(evidence, start=(RECEIPT_KEY,), reference=decided(**pins)).checks)


def test_a_bundle_is_shown_and_pinned() -> None:
    evidence = of(event(BUNDLE))
    verdict = machine().appraise(evidence, start=(RECEIPT_KEY,))
    assert verdict.boot is not None
    assert verdict.boot.bundle == BUNDLE
    found = checks(evidence)
    assert found["E53"] == f"configuration bundle: serial 7, SHA-384 {'ab' * 48}"
    assert found["E54"] == "configuration bundle not pinned"
    every: tuple[dict[str, Any], ...] = (
        {"bundles": ("cd" * 48, "ab" * 48)},
        {"bundle_serial": 7},
        {"bundles": ("ab" * 48,), "bundle_serial": 1},
    )
    for pins in every:
        assert checks(evidence, **pins)["E54"] == f"configuration bundle serial 7, SHA-384 {'ab' * 48}"


def test_a_machine_without_a_bundle() -> None:
    assert checks(of())["E53"] == "configuration bundle: none was applied"
    every: tuple[dict[str, Any], ...] = ({"bundles": ("ab" * 48,)}, {"bundle_serial": 0})
    for pins in every:
        refused(of(), "E54", Fault.POLICY_MISMATCH, reference=decided(**pins))
        refused(machine().evidence(), "E54", Fault.POLICY_MISMATCH, reference=decided(**pins))


@pytest.mark.parametrize(
    "pins", [{"bundles": ("cd" * 48,)}, {"bundle_serial": 8}, {"bundles": ("ab" * 48,), "bundle_serial": 8}]
)
def test_another_or_an_older_bundle_is_refused(pins: dict[str, Any]) -> None:
    refused(of(event(BUNDLE)), "E54", Fault.POLICY_MISMATCH, reference=decided(**pins))


def test_a_hot_update_is_shown_and_pinned() -> None:
    """What counts for pins is the bundle in force, not the one that the machine started with."""
    evidence = of(event(BUNDLE))

    def found(**pins: Any) -> dict[str, str]:
        verdict = machine().appraise(evidence, start=(RECEIPT_KEY,), reference=decided(**pins), update=OTHER)
        assert verdict.boot is not None
        assert (verdict.boot.bundle, verdict.boot.in_force) == (BUNDLE, OTHER)
        return dict(verdict.checks)

    assert found()["E59"] == f"hot update: serial 8, SHA-384 {'cd' * 48}"
    assert checks(evidence)["E59"] == "hot update: none"
    assert found(bundles=("cd" * 48,), bundle_serial=8)["E54"] == f"configuration bundle serial 8, SHA-384 {'cd' * 48}"
    reference = decided(bundles=("ab" * 48,))
    refused(evidence, "E54", Fault.POLICY_MISMATCH, start=(RECEIPT_KEY,), reference=reference, update=OTHER)


def test_a_hot_update_is_of_a_later_bundle_than_the_boot() -> None:
    for evidence in (of(event(OTHER)), of(event(AppliedBundle(8, BUNDLE.sha384))), of()):
        refused(evidence, "E59", start=(RECEIPT_KEY,), update=OTHER)
    refused(machine().evidence(), "E46", update=OTHER)


def test_a_quote_commits_to_one_hot_update() -> None:
    """So nobody on the way can add one, take it away, or name another."""
    updates = (None, BUNDLE, OTHER, AppliedBundle(7, OTHER.sha384))
    assert len({qualifying_data(bytes(32), b"n" * 32, update=each) for each in updates}) == len(updates)
    assert [read_update(written_update(each)) for each in updates] == list(updates)
    with rejected("E59"):
        read_update("cji-bundle:7")


def test_two_bundles_are_refused() -> None:
    for events in ((BUNDLE, OTHER), (BUNDLE, BUNDLE)):
        refused(of(*map(event, events)), "E53")


def test_a_bundle_after_the_start_of_a_worker_is_refused() -> None:
    """Root could measure a pinned one, and write the log and the evidence itself."""
    start = start_of(RECEIPT_KEY)
    assert checks(in_order(event(BUNDLE), start))["E53"].endswith("ab" * 48)
    refused(in_order(start, event(BUNDLE)), "E53", start=(RECEIPT_KEY,))
    refused(in_order(event(OTHER), start, event(BUNDLE)), "E53", start=(RECEIPT_KEY,))


@pytest.mark.parametrize(
    "text",
    [
        "cji-bundle:", "cji-bundle:7", f"cji-bundle:7:{'ab' * 47}", f"cji-bundle:07:{'ab' * 48}",
        f"cji-bundle:7:{'AB' * 48}", f"cji-bundle:{2**53}:{'ab' * 48}", f"cji-bundle:7:{'ab' * 48}\n",
        f"cji-bundle:-7:{'ab' * 48}",
    ],
)  # fmt: skip
def test_an_event_that_names_no_bundle_is_refused(text: str) -> None:
    refused(of(said(15, text)), "E53")


def test_a_bundle_in_another_pcr_is_none() -> None:
    """PCR 15 alone cannot be reset, and has no events but those that measured their own texts."""
    evidence = of(said(14, bundle_event(BUNDLE).decode()))
    assert checks(evidence)["E53"] == "configuration bundle: none was applied"


def test_a_text_that_was_not_measured_names_no_bundle() -> None:
    start = start_of(RECEIPT_KEY)
    log = b"".join(map(record, (*USERSPACE, event(BUNDLE), start)))
    measured = record(event(OTHER)).split(b'"digests"')[1].split(b'"content_type"')[0]
    named = record(event(BUNDLE)).split(b'"digests"')[1].split(b'"content_type"')[0]
    sound = in_order(event(OTHER), start)
    assert isinstance(sound.boot, MeasuredBoot)
    refused(replace(sound, boot=replace(sound.boot, userspace_log=log.replace(named, measured))), "E50")


@given(serial=st.integers(0, MAX_SERIAL), digest=st.binary(min_size=48, max_size=48))
def test_events_and_records_are_read_back(serial: int, digest: bytes) -> None:
    bundle = AppliedBundle(serial, digest)
    assert read_bundle_event(bundle_event(bundle)) == bundle
    for text in (bundle_event(bundle).removeprefix(b"cji-bundle:"), bundle_event(bundle)[:-1], b"cji-bundle:" * 2):
        with pytest.raises(ValueError, match="not the event"):
            read_bundle_event(text)
    (found,) = read_logs(b"", bundle_record(bundle))
    assert (found.pcr, found.measured) == (15, bundle_event(bundle))


@pytest.mark.parametrize(
    "pins",
    [{"bundles": ()}, {"bundles": ("ab",)}, {"bundles": ("AB" * 48,)}, {"bundle_serial": -1}, {"bundle_serial": 2**53}],
)
def test_pins_that_mean_nothing_are_refused(pins: dict[str, Any]) -> None:
    with rejected(f"reference-{next(iter(pins))}", fault=Fault.CONFIG_INVALID):
        check_reference(decided(**pins))
