"""Measured boots that must not be accepted: second quotes, event logs, starts of workers, boot images."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import replace as changed
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cji_attestation import Fault
from cji_attestation.appraisal import BootImage, BootState, ReferenceValues, image_of, verity_roots
from cji_attestation.evidence import Evidence, MeasuredBoot, read_logs
from cji_attestation.evidence.event_log import MAX_EVENTS, MAX_USERSPACE_LOG
from cji_attestation.trust import PRODUCTION
from cji_simulator.measured_boot import USERSPACE, Measurement, encode, record, said
from tests.support.boot_forge import IMA, LINE, VERITY, firmware, replayed, second_quote, start_of, with_boot
from tests.support.evidence import refused
from tests.support.forge import QUALIFYING, RECEIPT_KEY, decided, machine, quote_structure, rsa_public, sign
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

OTHER_KEY = b"s" * 32


def boot_of(evidence: Evidence) -> MeasuredBoot:
    assert isinstance(evidence.boot, MeasuredBoot)
    return evidence.boot


def with_parts(**fields: Any) -> Evidence:
    """Sound evidence whose `MeasuredBoot` has other members."""
    sound = with_boot()
    return replace(sound, boot=replace(boot_of(sound), **fields))


def state(evidence: Evidence) -> BootState:
    found = machine().appraise(evidence).boot
    assert found is not None
    return found


# ------------------------------------------------------------------ the second quote


@pytest.mark.parametrize("tee", ["snp", "tdx"])
def test_a_sound_boot_is_accepted(tee: str) -> None:
    trust = machine().trust if tee == "snp" else intel().trust
    evidence = with_boot() if tee == "snp" else with_boot(partial(intel().evidence, machine()))
    verdict = machine().appraise(evidence, trust=trust, start=(RECEIPT_KEY,))
    found = dict(verdict.checks)
    assert found["E46"] == "PCRs sha256:8-15 in a second quote"
    assert found["E47"].endswith("events lead to PCRs 0 to 14, PCR 10 excepted")
    assert found["E50"] == "the events of PCR 15 measured their texts"
    assert found["E48"] == f"started: {RECEIPT_KEY.hex()}"
    assert found["E49"] == "boot image not pinned"
    assert verdict.boot is not None
    assert verdict.boot.starts == (RECEIPT_KEY,)
    assert verdict.boot.pcrs == replayed((*firmware(), *USERSPACE))  # as booted, before the start


def test_bundles_with_a_boot_are_read_again() -> None:
    """On TDX beside Intel's collateral."""
    for evidence in (with_boot(), with_boot(partial(intel().evidence, machine()))):
        assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_workers_evidence_has_a_second_quote() -> None:
    for start in (RECEIPT_KEY, b""):
        refused(machine().evidence(), "E46", start=(start,))
    verdict = machine().appraise(machine().evidence())
    assert ("E46", "no second quote: PCRs 8 to 15 are not shown") in verdict.checks
    assert verdict.boot is None


PCRS = replayed((*firmware(), *USERSPACE, start_of(RECEIPT_KEY)))[8:]


@pytest.mark.parametrize(
    "parts",
    [
        {"kind": 0x8017},
        {"extra": b"x" * 32},
        {"extra": b""},
        {"selection": bytes.fromhex("00000001000b03ff0000")},
        {"selection": bytes.fromhex("00000001000b0300ff01")},
        {
            "ak_public": rsa_public(
                machine().ek.public_key(), attributes=0x50472, policy=b"", scheme=b"\x00\x14\x00\x0b"
            )
        },
        {"clock": (480, 3, 1)},
        {"clock": (482, 4, 1)},
        {"clock": (482, 3, 2)},
        {"magic": 0},
    ],
)
def test_a16_second_quote_is_of_the_same_moment_and_tpm(parts: dict[str, Any]) -> None:
    refused(with_parts(**second_quote(PCRS, **parts)), "E46")


def test_a16_second_quote_made_in_the_same_millisecond() -> None:
    assert machine().appraise(with_parts(**second_quote(PCRS, clock=(481, 3, 1))))


def test_a16_second_quote_is_signed_by_the_ak() -> None:
    quote = second_quote(PCRS)["quote"]
    for signature in (sign(machine().ek, quote), b"", bytes(256)):
        refused(with_parts(quote=quote, quote_signature=signature), "E46")


def test_a16_second_quote_and_its_values_are_one() -> None:
    first, second, *others = PCRS
    for pcrs in (PCRS[:7], (*PCRS, b"\1" * 32), (first + second, b"", *others), (second, first, *others)):
        refused(with_parts(pcrs=pcrs), "E46")
    short = (first + second, b"", *others)
    refused(with_parts(pcrs=short, **second_quote(short)), "E46")


# ------------------------------------------------------------------ the logs


def logged(booted: Sequence[Measurement], later: Sequence[Measurement] = USERSPACE) -> Evidence:
    """Sound quotes beside the logs of another boot."""
    log = b"".join(map(record, (*later, start_of(RECEIPT_KEY))))
    return with_parts(firmware_log=encode(booted), userspace_log=log)


def without(events: Sequence[Measurement], pcr: int) -> tuple[Measurement, ...]:
    """The events but the last one of this PCR."""
    at = max(number for number, one in enumerate(events) if one.pcr == pcr)
    return (*events[:at], *events[at + 1 :])


@pytest.mark.parametrize("pcr", [0, 1, 2, 4, 5, 7, 9, 11])
def test_a16_a_missing_event_is_seen_in_its_pcr(pcr: int) -> None:
    with rejected("E47") as caught:
        machine().appraise(logged(without(firmware(), pcr)))
    assert caught.value.failures[0].found.startswith(f"PCR {pcr} is ")


def test_a16_another_event_order_or_digest_is_seen() -> None:
    boot = firmware()
    swapped = [boot[number] for number in (1, 0, *range(2, len(boot)))]
    other = changed(boot[-1], digest=hashlib.sha256(b"evil").digest())
    more = Measurement(pcr=12, kind=0xD, data=b"", digest=bytes(32))
    later = [said(11, "enter-initrd"), *USERSPACE]
    moved = [changed(boot[1], pcr=6), *boot]
    for events in (swapped, (*boot[:-1], other), (*boot, more), moved):
        if replayed((*events, *USERSPACE)) != replayed((*boot, *USERSPACE)):
            refused(logged(events), "E47")
    refused(logged(boot, later), "E47")


def test_a16_logs_that_are_missing_or_cannot_be_read() -> None:
    refused(with_parts(firmware_log=b""), "E47")
    for field, data in (
        ("firmware_log", boot_of(with_boot()).firmware_log[:-1]),
        ("firmware_log", b"x"),
        ("userspace_log", b"x"),
        ("userspace_log", b"\x1e{"),
    ):
        with rejected("E47") as caught:
            machine().appraise(with_parts(**{field: data}))
        assert caught.value.failures[0].found
    with rejected("E47") as caught:
        machine().appraise(with_parts(firmware_log=bytes(100)))
    assert caught.value.failures[0].found == "no TCG_EfiSpecIDEvent at its beginning"


def test_a_userspace_log_that_is_too_long() -> None:
    """However little is in it: a record without a PCR is no event."""
    fits = b"\x1e{}" * (MAX_USERSPACE_LOG // 3)
    assert read_logs(b"", fits) == ()
    with rejected("event-log"):
        read_logs(b"", fits + b"\x1e{}")


def test_a_firmware_log_of_too_many_events_or_banks() -> None:
    one = Measurement(pcr=4, kind=0xD, data=b"", digest=bytes(32))
    assert len(read_logs(encode([one] * MAX_EVENTS), b"")) == MAX_EVENTS
    with rejected("event-log"):
        read_logs(encode([one] * (MAX_EVENTS + 1)), b"")
    for count in (16, 17):
        banks = b"".join(struct.pack("<HH", algorithm, 32) for algorithm in range(1, count + 1))
        body = b"Spec ID Event03\0" + bytes(8) + struct.pack("<I", count) + banks + b"\0"
        log = struct.pack("<II20xI", 0, 3, len(body)) + body
        if count == 16:
            assert read_logs(log, b"") == ()
            continue
        with rejected("event-log"):
            read_logs(log, b"")


def test_the_kernels_own_pcr_is_not_replayed() -> None:
    """IMA's log is another one: its PCR is quoted, and may be pinned."""
    assert state(with_boot()).pcrs[10] == IMA


# ------------------------------------------------------------------ the start of a worker


def starts(*events: Measurement, **fields: Any) -> Evidence:
    """A machine on which these were measured into PCR 15 after the boot, all of it logged."""
    return with_boot(start=b"", userspace=(*USERSPACE, *events), **fields)


def test_x03_what_starts_later_is_seen_beside_the_worker() -> None:
    """The attacker extends PCR 15 too, as evidence must show: both starts are there, and neither is the only one."""
    both = starts(start_of(RECEIPT_KEY), start_of(OTHER_KEY))
    for key in (RECEIPT_KEY, OTHER_KEY, b""):
        refused(both, "E48", start=(key,))
    assert state(both).starts == (RECEIPT_KEY, OTHER_KEY)


def test_x03_what_starts_later_cannot_do_without_a_start() -> None:
    refused(starts(start_of(RECEIPT_KEY)), "E48", start=(OTHER_KEY,))
    refused(starts(), "E48", start=(OTHER_KEY,))


def test_x03_no_worker_attests_for_a_key_after_a_start() -> None:
    refused(starts(start_of(RECEIPT_KEY)), "E48", start=(b"",))
    assert machine().appraise(starts(), start=(b"",)).boot is not None


@pytest.mark.parametrize("data", [b"machine-id:0", b"", b"cji-worker-stare:00"])
def test_x03_the_log_cannot_call_a_start_something_else(data: bytes) -> None:
    hidden = changed(start_of(RECEIPT_KEY), data=data)
    log = b"".join(map(_record, (*USERSPACE, hidden, start_of(OTHER_KEY))))
    pcrs = replayed((*firmware(), *USERSPACE, start_of(RECEIPT_KEY), start_of(OTHER_KEY)))[8:]
    refused(with_parts(pcrs=pcrs, userspace_log=log, **second_quote(pcrs)), "E50", start=(OTHER_KEY,))


def test_x03_a_note_in_the_log_is_no_start() -> None:
    """An event of type EV_NO_ACTION extends nothing: whoever writes the log may write what he likes into it."""
    said_only = changed(start_of(OTHER_KEY), kind=3)
    refused(with_boot(start=b"", firmware_log=encode((*firmware(), said_only))), "E48", start=(OTHER_KEY,))
    found = state(with_boot(firmware_log=encode((*firmware(), changed(said_only, digest=bytes(32))))))
    assert found.starts == (RECEIPT_KEY,)
    assert all(event.kind != 3 for event in found.events)


def _record(one: Measurement) -> bytes:
    """A record whose digest need not be of its text."""
    digests = [{"hashAlg": "sha256", "digest": one.digest.hex()}]
    return b"\x1e" + msgspec.json.encode({"pcr": one.pcr, "digests": digests, "content": {"string": one.data.decode()}})


def test_x03_evidence_from_before_or_after_the_start() -> None:
    """A token may be of either: the worker presents the one of its first attestation until it renews it."""
    for evidence in (starts(), starts(start_of(RECEIPT_KEY))):
        assert machine().appraise(evidence, start=(b"", RECEIPT_KEY))
    refused(starts(start_of(OTHER_KEY)), "E48", start=(b"", RECEIPT_KEY))
    refused(starts(), "E48", start=())


def test_x03_the_log_cannot_leave_a_start_out() -> None:
    log = b"".join(map(record, (*USERSPACE, start_of(OTHER_KEY))))
    pcrs = replayed((*firmware(), *USERSPACE, start_of(RECEIPT_KEY), start_of(OTHER_KEY)))[8:]
    with rejected("E48") as caught:
        machine().appraise(with_parts(pcrs=pcrs, userspace_log=log, **second_quote(pcrs)), start=(OTHER_KEY,))
    assert caught.value.failures[0].found == "PCR 15 extended by something that no log has"


@pytest.mark.parametrize("name", ["worker", "", "00" * 31, "00" * 33])
def test_x03_a_start_names_a_key(name: str) -> None:
    evidence = starts(said(15, f"cji-worker-start:{name}"))
    refused(evidence, "E48", start=(b"",))
    refused(evidence, "E48", start=None)


def test_x03_a_start_counts_in_its_pcr_only() -> None:
    refused(starts(said(12, f"cji-worker-start:{RECEIPT_KEY.hex()}")), "E48", start=(RECEIPT_KEY,))


# ------------------------------------------------------------------ pins


def test_pinned_pcrs_beyond_the_firmwares() -> None:
    booted = replayed((*firmware(), *USERSPACE))
    pinned: dict[int, tuple[str, ...]] = {pcr: (booted[pcr].hex(),) for pcr in (4, 11, 15)}
    verdict = machine().appraise(with_boot(), reference=decided(pcrs=pinned), start=(RECEIPT_KEY,))
    assert ("E19", "PCRs 4,11,15 pinned") in verdict.checks
    refused(with_boot(), "E19", Fault.POLICY_MISMATCH, reference=decided(pcrs={11: ("11" * 32,)}))
    with rejected("E19", fault=Fault.POLICY_MISMATCH) as caught:
        machine().appraise(machine().evidence(), reference=decided(pcrs={11: pinned[11]}))
    assert caught.value.failures[0].found == "PCR 11 is not shown"


def image() -> BootImage:
    found = image_of(state(with_boot()))
    assert found is not None
    return found


def pinning(*images: BootImage) -> ReferenceValues:
    return decided(boot_images=images)


def test_a_pinned_boot_image() -> None:
    assert image().command_line == LINE
    assert sorted(image().parts) == [".cmdline", ".initrd", ".linux", ".osrel", ".uname"]
    assert image().initrds == ()  # the kernel loaded the image's own
    other = replace(image(), parts={**image().parts, ".linux": "11" * 32})
    for images in ((image(),), (other, image())):
        found = dict(machine().appraise(with_boot(), reference=pinning(*images)).checks)
        assert found["E49"] == f"boot image among the reference values, dm-verity {VERITY}"
    refused(machine().evidence(), "E49", Fault.POLICY_MISMATCH, reference=pinning(image()))


def _event(pcr: int, contents: bytes) -> Measurement:
    return Measurement(pcr=pcr, kind=0xD, data=b"as pinned", digest=hashlib.sha256(contents).digest())


PHASES = ("os-separator", "enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final")


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_of_systemd_is_no_part_of_the_image(phase: str) -> None:
    later = with_boot(events=(*firmware(), _event(11, phase.encode())), userspace=())
    machine().appraise(later, reference=pinning(image()))
    assert image_of(state(later)) == image()


EVIL = LINE.replace(VERITY, "cd" * 32)
NAME, CONTENTS = _event(11, b".dtb\0"), _event(11, b"a device tree")


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ([_event(12, EVIL.encode("utf-16-le"))], "PCR 12 extended by "),  # a command line from outside
        ([_event(8, LINE.encode())], "PCR 8 extended by "),  # GRUB
        ([_event(9, b"another initrd")], "PCR 9 extended by "),
        ([_event(13, b"a system extension")], "PCR 13 extended by "),
        ([NAME, CONTENTS], ".dtb "),
        ([_event(11, b"anything")], "PCR 11 extended by "),
        ([_event(11, b".linux\0"), _event(11, b"another kernel")], "PCR 11 extended by "),
        ([_event(11, b".uname\0")], "PCR 11 extended by "),
    ],
)
def test_a16_what_is_added_to_an_image_is_refused(more: list[Measurement], found: str) -> None:
    with rejected("E49", fault=Fault.POLICY_MISMATCH) as caught:
        machine().appraise(with_boot(events=(*firmware(), *more), userspace=()), reference=pinning(image()))
    assert found in caught.value.failures[0].found
    assert image_of(state(with_boot(events=(*firmware(), *more), userspace=()))) in (None, *_explained(more))


def _explained(more: list[Measurement]) -> list[BootImage]:
    """Another image, where what was added is a part that an operator may pin."""
    if more == [NAME, CONTENTS]:
        return [replace(image(), parts={**image().parts, ".dtb": CONTENTS.digest.hex()})]
    if more[0].pcr == 9:
        return [replace(image(), initrds=(more[0].digest.hex(),))]
    return []


@pytest.mark.parametrize("name", [".linux", ".osrel", ".cmdline", ".initrd", ".uname"])
def test_a16_another_part_of_the_image_is_refused(name: str) -> None:
    other = replace(image(), parts={**image().parts, name: "11" * 32})
    with rejected("E49", fault=Fault.POLICY_MISMATCH) as caught:
        machine().appraise(with_boot(), reference=pinning(other))
    (failure,) = caught.value.failures
    assert failure.found.startswith(f"{name} {image().parts[name]}")
    assert f"{name} {'11' * 32}" in failure.expected


def test_a16_another_command_line_is_refused() -> None:
    """Even if the log says that it is the pinned one: only what was measured counts."""
    evil = with_boot(line=EVIL)
    lie = replace(evil, boot=replace(boot_of(evil), command_line=LINE))
    for given in (evil, lie):
        refused(given, "E49", Fault.POLICY_MISMATCH, reference=pinning(image()))
    refused(lie, "E61", Fault.POLICY_MISMATCH)  # whatever is pinned


DEBUG = f"{LINE} cji.flavour=debug"


def test_an_image_for_debugging_is_refused_whatever_is_pinned() -> None:
    """Reference values can name its image and its PCRs; which flavours are taken is in the trust alone."""
    evidence, both = with_boot(line=DEBUG), msgspec.structs.replace(machine().trust, flavours=("production", "debug"))
    found = machine().appraise(evidence, trust=both)
    assert ("E61", "flavour debug") in found.checks
    assert found.boot is not None
    named = image_of(found.boot)
    assert named is not None
    pins = {pcr: (value.hex(),) for pcr, value in enumerate(found.boot.pcrs) if pcr not in {10, 15}}
    for reference in (decided(), pinning(named), decided(pcrs=pins)):
        refused(evidence, "E61", Fault.POLICY_MISMATCH, reference=reference)
    for line in (f"cji.flavour=debug {LINE}", f"{DEBUG} cji.flavour=production", f"{LINE} cji.flavour="):
        refused(with_boot(line=line), "E61", Fault.POLICY_MISMATCH)
    # nor if its root says that it booted another line
    lie = replace(evidence, boot=replace(boot_of(evidence), command_line=LINE))
    refused(lie, "E61", Fault.POLICY_MISMATCH, reference=decided(pcrs=pins))
    # nor if it extends PCR 12 by that line, as the stub does for one that replaces the embedded one without Secure Boot
    late = with_boot(line=DEBUG, events=(*firmware(line=DEBUG), _event(12, LINE.encode("utf-16-le"))))
    refused(replace(late, boot=replace(boot_of(late), command_line=LINE)), "E61", Fault.POLICY_MISMATCH)


ENGINE = f"{LINE} cji.flavour=engine"


def test_an_engine_is_no_worker_and_a_worker_no_engine() -> None:
    """Each kind of machine has flavours of its own, whatever is pinned; an image that names two is of neither."""
    engine, worker, wanted = with_boot(line=ENGINE), with_boot(), machine().trust.wanting("engine")
    assert ("E61", "flavour engine") in machine().appraise(engine, trust=wanted).checks
    refused(engine, "E61", Fault.POLICY_MISMATCH)
    refused(worker, "E61", Fault.POLICY_MISMATCH, trust=wanted)
    found = machine().appraise(engine, trust=wanted)
    assert found.boot is not None
    named = image_of(found.boot)
    assert named is not None
    refused(engine, "E61", Fault.POLICY_MISMATCH, reference=pinning(named))
    for line in (DEBUG, f"{ENGINE} cji.flavour=production", f"{ENGINE} cji.flavour=debug"):
        refused(with_boot(line=line), "E61", Fault.POLICY_MISMATCH)
        refused(with_boot(line=line), "E61", Fault.POLICY_MISMATCH, trust=wanted)


def test_the_compiled_trusts_take_no_flavour_but_production() -> None:
    assert {trust.flavours for trust in PRODUCTION} == {("production",)}
    assert {trust.wanting("engine").flavours for trust in PRODUCTION} == {("engine",)}
    assert ("E61", "flavour production") in machine().appraise(with_boot()).checks


def test_a16_an_image_without_a_measured_command_line_is_refused() -> None:
    pairs = firmware()
    at = next(n for n, one in enumerate(pairs) if one.digest == hashlib.sha256(b".cmdline\0").digest())
    parts = {name: digest for name, digest in image().parts.items() if name != ".cmdline"}
    bare = (*pairs[:at], *pairs[at + 2 :])
    reference = pinning(replace(image(), parts=parts))
    refused(with_boot(events=bare), "E49", Fault.POLICY_MISMATCH, reference=reference)
    passed = (*bare, _event(12, LINE.encode("utf-16-le")))  # systemd-boot passes it, and measures it
    assert machine().appraise(with_boot(events=passed), reference=reference)


def test_a_boot_without_a_measured_kernel_is_no_image() -> None:
    """Everything in it is explained, but it would pin nothing."""
    bare = [one for one in firmware() if one.pcr != 11]
    assert image_of(state(with_boot(events=(*bare, _event(12, LINE.encode("utf-16-le")))))) is None


def test_an_image_that_names_no_verity_root_is_reported_as_such() -> None:
    evidence = with_boot(line="root=/dev/sda1 ro")
    found = image_of(state(evidence))
    assert found is not None
    checks = dict(machine().appraise(evidence, reference=pinning(found)).checks)
    assert checks["E49"] == "boot image among the reference values, dm-verity none"


def test_systemds_own_measurements_are_no_addition() -> None:
    later = [
        *(said(pcr, "os-separator") for pcr in (8, 9, 11, 12, 13)),
        said(9, "nvpcr-init:hardware:0x1d10200:000b" + "00" * 32),
        said(11, "shutdown"),
    ]
    evidence = with_boot(userspace=(*USERSPACE, *later))
    assert machine().appraise(evidence, reference=pinning(image()))
    assert image_of(state(evidence)) == image()
    refused(with_boot(userspace=[said(12, "nvpcr-init:x")]), "E49", Fault.POLICY_MISMATCH, reference=pinning(image()))


def test_x03_a_start_in_another_pcr_is_an_addition() -> None:
    evidence = starts(said(12, f"cji-worker-start:{RECEIPT_KEY.hex()}"))
    refused(evidence, "E49", Fault.POLICY_MISMATCH, reference=pinning(image()))


@pytest.mark.parametrize("end", [b"", b"\0", b"\n", b"\n\0"])
def test_a_command_line_ends_as_its_builder_ends_it(end: bytes) -> None:
    digests = {hashlib.sha256(LINE.encode()).digest(): hashlib.sha256(LINE.encode() + end).digest()}
    events = [changed(one, digest=digests.get(one.digest, one.digest)) for one in firmware()]
    assert image_of(state(with_boot(events=events))) is not None


def test_the_roots_of_verity_that_a_command_line_names() -> None:
    assert verity_roots(f"ro roothash={VERITY} quiet usrhash=cd xroothash=ef roothash") == (VERITY, "cd")
    assert verity_roots("") == ()


def test_the_locality_of_the_firmware_is_where_pcr_0_begins() -> None:
    """TCG PC Client Platform Firmware Profile, "Startup Locality Event"."""
    note = Measurement(pcr=0, kind=3, data=b"StartupLocality\0\3", digest=bytes(32))
    events = (note, *firmware())
    pcrs = list(replayed((*firmware(), *USERSPACE, start_of(RECEIPT_KEY))))
    value = bytes(31) + b"\3"
    for one in firmware():
        if one.pcr == 0:
            value = hashlib.sha256(value + one.digest).digest()
    pcrs[0] = value
    sound = with_boot()
    moved = machine().evidence(pcrs=tuple(pcrs[:8]), quote=quote_structure(tuple(pcrs[:8]), extra=QUALIFYING))
    boot = replace(boot_of(sound), firmware_log=encode(events))
    assert machine().appraise(replace(moved, version=3, boot=boot), start=(RECEIPT_KEY,))
