"""Entries of the agency's log in a packet, under the policy that its reader pins. Each forgery is refused by name."""

import copy
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.attachments import Attachments
from cji_audit.packet.checks import CHECKS
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import Content, attachments_of, files_of
from cji_audit.packet.logged import entry_is_late, newest_records
from cji_audit.packet.make import make, survey_again
from cji_audit.packet.survey import survey
from cji_audit.packet.trust import Pins, Trust, trust
from cji_audit.packet.verify import material_in, verify
from cji_core.moments import moment
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, new_signers
from cji_core.tlog.policy import Policy
from cji_core.trail.chain import Head, append_record
from cji_core.trail.chain import read as read_line
from cji_core.trail.events import Event
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.witnesses.records import Records, Witnessed
from cji_core.trail.worker_events import TrailAnchored, TrailCheckpoint
from tests.support.kql.lines import event
from tests.support.log_records import ORIGIN, WITNESSES, entry, policy
from tests.support.packet_period import KEY, PERIOD, WORKER, catalog, signed, sound, tools, write_trail
from tests.support.tlog_site import Machine
from tests.unit.audit.packet.test_packet_trust import PINS, reasons

AT = moment(PERIOD.end) - timedelta(days=9)  # in time for every line of these tests


class Scene:
    """The sound period, whose packet has one record of the log beside what it always has."""

    def __init__(self, folder: Path) -> None:
        self.trail, given = write_trail(sound(), folder)
        self.given = Attachments(files={kind: of for kind, of in given.files.items() if kind != "checkpoints"})
        self.lines = self.trail.read_bytes().splitlines(keepends=True)

    @property
    def identity(self) -> str:
        return read_line(self.lines[0], number=1).hash

    def cut(self, size: int, folder: Path) -> "Scene":
        """The same with the first lines alone, in another folder."""
        found = copy.copy(self)
        found.trail, found.lines = folder / self.trail.name, self.lines[:size]
        found.trail.write_bytes(b"".join(found.lines))
        return found

    def forge(self, event: Event, time: str | None) -> None:
        """Append a line, which needs no key."""
        last = read_line(self.lines[-1], number=len(self.lines))
        head = Head(seq=last.seq, hash=last.hash)
        self.lines.append(append_record(event, head=head, time=time or last.time, worker=WORKER)[1])
        self.trail.write_bytes(b"".join(self.lines))

    def packet(self, *records: Witnessed) -> tuple[Content, dict[str, bytes]]:
        log = {f"{each.receipt.trail}.json": each.encode() for each in records}
        made = make(
            period=PERIOD,
            trails=[self.trail],
            catalog=("catalog.json", catalog()),
            attachments=Attachments(files={**self.given.files, "log": log}),
            tools=tools(),
        )
        return made, signed(files_of(made, with_docx=False))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("logged"))


def judged(files: dict[str, bytes], *policies: Policy, **options: Any) -> Trust:
    material = material_in(files)
    pins: Pins = replace(PINS, logs=policies)
    return trust(files, material, attachments_of(files, material), [KEY.public_key()], pins, **options)


def test_an_entry_of_the_head_under_a_pinned_log(scene: Scene) -> None:
    size = len(scene.lines)
    made, files = scene.packet(entry(scene.lines, size))
    assert verify(files, tools()) == ()
    found = judged(files, policy())
    assert reasons(found) == []
    line = f"audit.log: {size} of {size} lines in the log {ORIGIN}, cosigned by a quorum at 2026-10-26T14:01:00+00:00"
    assert f"{line}; newer lines: 0" in found.statements
    assert CHECKS["checkpoints"](made.material).status == "holds"
    listed = {name for name in files if name.startswith("given/log/")}
    assert listed == {f"given/log/{scene.identity}.json"}


def test_an_older_entry_counts_the_newer_lines(scene: Scene) -> None:
    size = len(scene.lines)
    made, files = scene.packet(entry(scene.lines, size - 1))
    assert verify(files, tools()) == ()
    found = judged(files, policy())
    assert (reasons(found), found.statements[-2].endswith("; newer lines: 1")) == ([], True)
    assert "; newer lines: 1." in CHECKS["checkpoints"](made.material).why


def test_without_a_pin_the_log_is_the_makers(scene: Scene) -> None:
    found = judged(scene.packet(entry(scene.lines, 9))[1])
    assert reasons(found) == ["log-not-pinned"]
    assert [each.pinned for each in found.signers if each.role == "log"] == [False]
    assert not any("quorum" in each for each in found.statements)


def test_the_key_of_another_log(scene: Scene) -> None:
    """Of the same origin, with the same witnesses: the signature decides."""
    files = scene.packet(entry(scene.lines, 9, log=new_signers(ORIGIN, LOG_TYPES)))[1]
    assert reasons(judged(files, policy())) == ["log-is-another"]


def test_a_quorum_that_is_missing(scene: Scene) -> None:
    files = scene.packet(entry(scene.lines, 9, witnesses=WITNESSES[:2]))[1]
    found = judged(files, policy())
    assert reasons(found) == ["log-quorum-missing"]
    others = tuple(new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(3))
    assert reasons(judged(files, policy(witnesses=others))) == ["log-quorum-missing"]


def test_an_earlier_policy_counts_too(scene: Scene) -> None:
    others = tuple(new_signers(f"w{number}.example", WITNESS_TYPES) for number in range(3))
    files = scene.packet(entry(scene.lines, len(scene.lines)))[1]
    assert reasons(judged(files, policy(witnesses=others), policy())) == []


def test_a_checkpoint_of_the_log_that_was_changed(scene: Scene) -> None:
    """Another root under the same signatures."""
    record = entry(scene.lines, 9)
    head, note = record.receipt.proof.split("\n\n", 1)
    lines = note.split("\n")
    lines[2] = f"{'A' * 43}="
    receipt = msgspec.structs.replace(record.receipt, proof="\n\n".join((head, "\n".join(lines))))
    made, files = scene.packet(msgspec.structs.replace(record, receipt=receipt))
    assert reasons(judged(files, policy())) == ["log-is-another", "log-entry-invalid"]
    assert CHECKS["checkpoints"](made.material).status == "fails"


def test_an_entry_that_is_not_in_the_log(scene: Scene) -> None:
    """The entry of other lines, with the proof of one that the log has: all signatures are good."""
    logged, other = entry(scene.lines, 9), entry(scene.lines, 12)
    receipt = msgspec.structs.replace(other.receipt, proof=logged.receipt.proof)
    made, files = scene.packet(msgspec.structs.replace(other, receipt=receipt))
    assert reasons(judged(files, policy())) == ["log-entry-invalid"]
    assert CHECKS["checkpoints"](made.material).status == "fails"


def test_a_record_with_the_entry_of_another_checkpoint(scene: Scene) -> None:
    record, other = entry(scene.lines, 9), entry(scene.lines, 12)
    made, files = scene.packet(msgspec.structs.replace(record, offer=other.offer))
    assert reasons(judged(files, policy())) == ["log-entry-invalid"]
    assert CHECKS["checkpoints"](made.material).status == "fails"


def test_an_entry_of_another_trail(scene: Scene) -> None:
    """By its identity; and of this identity, with other lines that the same worker signed."""
    made, files = scene.packet(entry(scene.lines, 9, trail="ab" * 48))
    assert reasons(judged(files, policy())) == ["log-entry-invalid", "log-entry-missing"]
    assert CHECKS["checkpoints"](made.material).status == "fails"
    made, files = scene.packet(entry([scene.lines[0], *scene.lines[2:]], 9))
    assert reasons(judged(files, policy())) == ["log-entry-invalid"]
    result = CHECKS["checkpoints"](made.material)
    assert (result.status, "do not continue the 9" in result.why) == ("fails", True)


def test_more_lines_in_the_log_than_were_given(scene: Scene) -> None:
    """The trail's end was cut off before the packet was made."""
    size = len(scene.lines)
    made, files = scene.packet(entry([*scene.lines, scene.lines[-1]], size + 1))
    found = judged(files, policy())
    assert reasons(found) == ["log-entry-invalid"]
    assert found.refusals[0].what.endswith("its end is missing")
    assert CHECKS["checkpoints"](made.material).status == "fails"


def test_a_worker_key_that_nobody_gave(scene: Scene) -> None:
    made, files = scene.packet(entry(scene.lines, 9, key=ec.generate_private_key(ec.SECP384R1())))
    assert reasons(judged(files, policy())) == ["log-entry-invalid"]
    assert CHECKS["checkpoints"](made.material).status == "missing"


def test_a_pinned_log_demands_an_entry(scene: Scene) -> None:
    files = scene.packet()[1]
    assert reasons(judged(files, policy())) == ["log-entry-missing"]
    assert "agency's log: none; demand an entry of each trail with --log-policy" in judged(files).statements


def test_the_way_to_the_root_is_read_again(scene: Scene) -> None:
    """A maker who states another proof, and makes all that follows from it again."""
    made, _ = scene.packet(entry(scene.lines, 9))
    (fact,) = made.material.log or ()
    log = (msgspec.structs.replace(fact, consistency=fact.consistency[:-1]),)
    forged = replace(made, material=msgspec.structs.replace(made.material, log=log))
    files = signed(files_of(forged, with_docx=False))
    assert verify(files, tools()) == ()
    assert reasons(judged(files, policy())) == ["log-entry-invalid"]


def test_an_identity_is_read_from_the_trail_again(scene: Scene) -> None:
    """A trail that is stated as another one, for which the log has an entry, is found out by the trail."""
    made, _ = scene.packet(entry(scene.lines, 9))
    other = msgspec.structs.replace(made.material.trails[0], identity="cd" * 48)
    files = files_of(replace(made, material=msgspec.structs.replace(made.material, trails=(other,))), with_docx=False)
    found = verify(files, tools(), resurvey=lambda material: survey_again([scene.trail], material))
    assert "trails, audit.log: identity is another one when read again" in [each.what for each in found]


def test_the_digest_of_a_record_is_signed(scene: Scene) -> None:
    """Another record in the place of the signed one, and facts that are read from it again."""
    _, files = scene.packet(entry(scene.lines, 9))
    name = f"given/log/{scene.identity}.json"
    files[name] = entry(scene.lines, 12).encode()
    what = [(each.file, each.what) for each in verify(files, tools())]
    assert (name, "differs from its digest in packet.json") in what
    assert any(each.startswith("log, ") for _, each in what)
    assert sha256(files[name]).hexdigest() not in files["packet.json"].decode()


def test_the_newest_record_of_each_folder(scene: Scene, tmp_path: Path) -> None:
    records = Records(tmp_path / "log")
    for size in (4, 9, 7):
        records.add(entry(scene.lines, size))
    (found,) = newest_records([tmp_path / "log"]).items()
    assert found[0] == f"{scene.identity}.json"
    assert scene.packet(msgspec.json.decode(found[1], type=Witnessed))[0].material.log[0].checkpoint.size == 9  # type: ignore[index]
    with pytest.raises(PacketError, match="another folder"):
        newest_records([tmp_path / "log", tmp_path / "log"])
    with pytest.raises(PacketError, match="no record"):
        newest_records([tmp_path])


def test_later_lines_that_no_entry_covers(scene: Scene) -> None:
    """The log, or the way to it, was silent for most of the period."""
    made, files = scene.packet(entry(scene.lines, 9))
    found = judged(files, policy())
    assert reasons(found) == ["log-entry-late"]
    assert "are in no entry until 2026-10-2" in found.refusals[0].what
    (fact,) = made.material.log or ()
    later = [read_line(line, number=at) for at, line in enumerate(scene.lines, 1) if at > 9]
    first = next(each for each in later if not isinstance(each.event, TrailAnchored | TrailCheckpoint))
    assert fact.waiting_since == first.time


def test_a_maker_cannot_hide_that_lines_wait(scene: Scene) -> None:
    """Who states that no line waits, is found out by a reader who has the trail."""
    made, _ = scene.packet(entry(scene.lines, 9))
    (fact,) = made.material.log or ()
    log = (msgspec.structs.replace(fact, waiting_since=""),)
    files = signed(files_of(replace(made, material=msgspec.structs.replace(made.material, log=log)), with_docx=False))
    assert verify(files, tools()) == ()
    found = verify(files, tools(), resurvey=lambda material: survey_again([scene.trail], material))
    assert [each.what.rpartition(": ")[2] for each in found] == ["waiting_since is another one when read again"]


@pytest.mark.parametrize(("stopped", "days", "late"), [(False, 3, True), (True, 3, False), (False, 1, False)])
def test_a_trail_that_ends_early(scene: Scene, *, stopped: bool, days: int, late: bool) -> None:
    """Cut at an old entry, with all that is left in the log: it ends before the period, and nobody stopped it."""
    made, _ = scene.packet(entry(scene.lines, len(scene.lines)))
    (fact,) = made.material.log or ()
    assert (fact.waiting_since, fact.stopped) == ("", False)
    assert fact.last_time == made.material.trails[0].last_time
    last = utc_hundredths(moment(PERIOD.end) - timedelta(days=days))
    fact = msgspec.structs.replace(fact, stopped=stopped, last_time=last)
    now = moment(PERIOD.end) + timedelta(days=60)
    assert bool(entry_is_late(fact, made.material, at=AT, policy=policy().file, now=now)) is late
    soon = moment(last) + timedelta(hours=2)
    assert not entry_is_late(fact, made.material, at=AT, policy=policy().file, now=soon)  # the period is not over


END = utc_hundredths(moment(PERIOD.end) - timedelta(hours=1))
FORGED: dict[str, tuple[tuple[Event, str | None], ...]] = {
    "nothing": (),
    "a stop at the cut": ((event("worker_stopped"), None),),
    "a stop and an anchor": ((event("worker_stopped"), None), (TrailAnchored(counter=900), None)),
    "an anchor of the last day": ((TrailAnchored(counter=900), END),),
    "any line of the last day": ((event("worker_stopped"), END),),
}


@pytest.mark.parametrize("name", FORGED)
def test_no_line_after_an_entry_vouches_for_it(scene: Scene, tmp_path: Path, name: str) -> None:
    """The trail is cut at an old entry, and goes on with lines that need no key."""
    cut = scene.cut(55, tmp_path)
    record = entry(cut.lines, 55)
    for forged, time in FORGED[name]:
        cut.forge(forged, time)
    _, files = cut.packet(record)
    again = partial(survey_again, [cut.trail])
    assert verify(files, tools(), resurvey=again) == ()
    (refusal,) = judged(files, policy(), trails=again(material_in(files))).refusals
    assert (refusal.reason, "and no stop is among them" in refusal.what) == ("log-entry-late", True)


def test_a_stop_is_read_from_the_trail(tmp_path: Path) -> None:
    """At each size: a checkpoint of the stop, and one of the start that follows."""
    machine = Machine(folder=tmp_path)
    for line in ("worker_started", "worker_stopped", "worker_started"):
        machine.trail.append(event(line))
    found = survey(machine.trail.path, PERIOD, sizes={1, 2, 3, 4}).under
    assert [each.stopped for each in found.values()] == [False, False, True, False]


@pytest.mark.parametrize(("after", "late"), [(3600, []), (3601, ["log-entry-late"]), (30 * 86_400, ["log-entry-late"])])
def test_an_entry_that_was_cosigned_late(scene: Scene, after: int, late: list[str]) -> None:
    """Between its last line and the quorum, the lines could be changed without trace."""
    last = int(moment(read_line(scene.lines[-1], number=len(scene.lines)).time).timestamp())
    files = scene.packet(entry(scene.lines, len(scene.lines), at=last + after))[1]
    assert reasons(judged(files, policy())) == late


def test_a_time_that_is_none_is_late(scene: Scene) -> None:
    made, _ = scene.packet(entry(scene.lines, len(scene.lines)))
    (fact,) = made.material.log or ()
    fact = msgspec.structs.replace(fact, waiting_since="soon")
    assert entry_is_late(fact, made.material, at=AT, policy=policy().file, now=moment(PERIOD.end))
