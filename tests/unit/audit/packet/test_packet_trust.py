"""A packet is trusted under its reader's pins alone. Each forgery here is refused by the name of its reason."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.attachments import Attachments
from cji_audit.packet.folder import attachments_of, files_of
from cji_audit.packet.keys import by_thumbprint, p384_of
from cji_audit.packet.make import survey_again
from cji_audit.packet.survey import Surveyed
from cji_audit.packet.trust import REMEDIES, Pins, Role, Trust, packet_sha384, trust
from cji_audit.packet.verify import material_in, verify
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import SigningPair
from cji_core.trail import DocumentRecorded, Head, append_record, utc_hundredths
from cji_core.trail import read as read_line
from cji_core.trail.packets import SIGNATURE, STAMP, stamped
from tests.support.packet_period import KEY, REVIEWER, agency, content, signed, sound, tools
from tests.support.retention_records import KEY as RETENTION_KEY
from tests.support.tsa_forge import Tsa, tsa

NOW = datetime.now(UTC).replace(microsecond=0)
"""Within the validity of the tests' timestamp authority."""


def at(seconds: int) -> str:
    return utc_hundredths(NOW + timedelta(seconds=seconds))


PINS = Pins(
    keys={
        "signer": by_thumbprint([agency().public_key()]),
        "receipt-key": by_thumbprint([KEY.public_key()]),
        "reviewer": by_thumbprint([REVIEWER.public_key()]),
        "retention-key": by_thumbprint([RETENTION_KEY.public_key()]),
    }
)
STAMP_PINS = replace(PINS, stamp_roots=tsa().roots)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("period")


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, bytes]:
    return files_of(content(sound(), folder), with_docx=False)


def judged(files: dict[str, bytes], pins: Pins, *, surveyed: list[Surveyed] | None = None) -> Trust:
    material = material_in(files)
    given = attachments_of(files, material)
    attested = [tools().appraise(name, data)[1] for name, data in given.of("machines").items()]
    return trust(files, material, given, [each for each in attested if each], pins, trails=surveyed or ())


def reasons(found: Trust) -> list[str]:
    assert all(each.remedy == REMEDIES[each.reason] for each in found.refusals)
    return [each.reason for each in found.refusals]


def with_stamp(files: dict[str, bytes], authority: Tsa | None = None) -> dict[str, bytes]:
    return files | {STAMP: (authority or tsa()).response(stamped(files[SIGNATURE]), at=NOW)}


def test_a_packet_under_pinned_keys_is_trusted(files: dict[str, bytes]) -> None:
    whole = with_stamp(signed(files))
    assert verify(whole, tools()) == ()
    found = judged(whole, STAMP_PINS)
    assert found.refusals == ()
    assert all(each.pinned for each in found.signers)
    assert {each.role for each in found.signers} == {"signer", "receipt-key", "reviewer", "retention-key"}
    assert any(
        each.startswith(f"stamped by Test Timestamp Authority at {NOW.isoformat()}") for each in found.statements
    )
    assert "facts of the trails: the signer's word; give --trail to read them again" in found.statements


def test_without_pins_every_key_is_the_maker_s(files: dict[str, bytes]) -> None:
    found = judged(with_stamp(signed(files)), Pins())
    assert reasons(found) == [
        "signer-not-pinned",
        "receipt-key-not-pinned",
        "reviewer-not-pinned",
        "retention-key-not-pinned",
    ]
    assert not any(each.pinned for each in found.signers)
    assert any("as given by the maker" in each for each in found.statements)


def test_a_packet_that_nobody_signed(files: dict[str, bytes]) -> None:
    assert reasons(judged(files, PINS)) == ["signature-missing"]


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("signer", "signer-is-another"),
        ("receipt-key", "receipt-key-is-another"),
        ("reviewer", "reviewer-is-another"),
        ("retention-key", "retention-key-is-another"),
    ],
)
def test_a_key_of_the_maker_s_own(files: dict[str, bytes], role: Role, reason: str) -> None:
    """The maker has none of the keys that the reader pins in this role, however well all else fits."""
    other = SigningPair.generate() if role == "signer" else ec.generate_private_key(ec.SECP384R1())
    pins = replace(PINS, keys={**PINS.keys, role: by_thumbprint([other.public_key()])})
    assert reasons(judged(signed(files), pins)) == [reason]


def test_one_pinned_key_vouches_for_no_second_one(files: dict[str, bytes]) -> None:
    """A key beside the pinned one, which the maker adds, refuses the packet."""
    own = ec.generate_private_key(ec.SECP384R1()).public_key()
    material = material_in(files)
    given = attachments_of(files, material)
    jwks = b"\n".join(public_jwk(each).encode() for each in (REVIEWER.public_key(), own))
    more = Attachments(files={**given.files, "reviewer_keys": {"reviewer.jwk": jwks}})
    found = trust(signed(files), material, more, [], PINS)
    assert [(each.reason, each.what) for each in found.refusals] == [
        ("reviewer-is-another", f"reviewer {key_id(own)}"),
    ]


def forged_signatures(files: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    whole = signed(files)
    text = whole[SIGNATURE]
    yield whole | {"packet.json": files["packet.json"] + b" "}
    yield whole | {SIGNATURE: text[:-20] + b"A" * 18 + b"==\n"}
    yield whole | {SIGNATURE: b""}
    yield whole | {SIGNATURE: b"\xff" + text}
    yield whole | {SIGNATURE: text + b"\n"}
    yield whole | {SIGNATURE: signed(files | {"packet.json": b"{}"})[SIGNATURE]}
    head, payload, _ = text.decode().split(".")
    other = signed(files, SigningPair.generate())[SIGNATURE].decode().split(".")
    yield whole | {SIGNATURE: f"{head}.{payload}.{other[2]}".encode()}


def test_a_signature_over_something_else(files: dict[str, bytes]) -> None:
    for number, each in enumerate(forged_signatures(files)):
        assert reasons(judged(each, PINS)) == ["signature-invalid"], number


def test_a_timestamp_that_is_demanded(files: dict[str, bytes]) -> None:
    whole = signed(files)
    other = signed(files, signed=at(-1))
    assert reasons(judged(whole, STAMP_PINS)) == ["stamp-missing"]
    wrong = (
        with_stamp(whole, authority=Tsa()),
        whole | {STAMP: with_stamp(other)[STAMP]},
        whole | {STAMP: b""},
        with_stamp(signed(files, signed=at(301))),
        with_stamp(signed(files, signed=f"{at(0)[:5]}13{at(0)[7:]}")),
    )
    for number, each in enumerate(wrong):
        assert reasons(judged(each, STAMP_PINS)) == ["stamp-invalid"], number
    assert reasons(judged(with_stamp(signed(files, signed=at(300))), STAMP_PINS)) == []


def test_a_trail_under_no_pinned_checkpoint(folder: Path) -> None:
    scene = sound()
    scene.checkpoint_at, scene.weeks = 20, []
    own = folder / "part"
    own.mkdir()
    whole, trail = signed(files_of(content(scene, own), with_docx=False)), own / "audit.log"
    keys = p384_of(PINS.of("receipt-key"))
    surveyed = survey_again([trail], material_in(whole), keys=keys)
    found = judged(whole, PINS, surveyed=surveyed)
    assert reasons(found) == []
    last = surveyed[0].trail.lines
    assert any(
        f"20 of {last} lines under a checkpoint of a pinned key; the {last - 20}" in each for each in found.statements
    )
    material = msgspec.structs.replace(material_in(whole), checkpoints=())
    bare = trust(whole, material, Attachments(), [], PINS, trails=surveyed)
    assert reasons(bare) == ["trail-not-signed"]
    other = replace(PINS, keys={**PINS.keys, "receipt-key": by_thumbprint([REVIEWER.public_key()])})
    unsigned = survey_again([trail], material_in(whole))
    kept = trust(whole, material_in(whole), Attachments(), [], other, trails=unsigned)
    assert reasons(kept) == ["trail-not-signed"], "the checkpoint that was kept is of a key that is not pinned"


def test_a_packet_that_a_line_records(files: dict[str, bytes], folder: Path) -> None:
    whole, material, demand = signed(files), material_in(files), replace(PINS, recorded=True)
    trail = folder / "grown" / "audit.log"
    trail.parent.mkdir()
    data = (folder / "audit.log").read_bytes()
    last = read_line(data.splitlines(keepends=True)[-1])

    def surveyed(digest: str, kind: str = "packet") -> list[Surveyed]:
        event = DocumentRecorded(document=kind, sha384=digest, uid=0)  # type: ignore[arg-type]
        time = utc_hundredths(datetime.fromisoformat(last.time) + timedelta(days=1))
        _, line = append_record(event, head=Head(seq=last.seq, hash=last.hash), time=time, worker=last.worker)
        trail.write_bytes(data + line)
        return survey_again([trail], material, packet=packet_sha384(whole))

    found = judged(whole, demand, surveyed=surveyed(packet_sha384(whole)))
    assert reasons(found) == []
    assert any(each.startswith(f"recorded in line {last.seq + 1} of audit.log") for each in found.statements)
    for other in (surveyed("0a" * 48), surveyed(packet_sha384(whole), "review")):
        assert reasons(judged(whole, demand, surveyed=other)) == ["packet-not-recorded"]
        assert "recorded: in no line of the trails given" in judged(whole, PINS, surveyed=other).statements
