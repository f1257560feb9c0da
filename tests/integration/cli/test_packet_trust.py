"""A packet from its agency to its reader: made, signed, stamped, and verified with the reader's pins and no network."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import lxml.html  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.verbs.day import AuditorsDay
from cji_audit.verbs.packet_stamp import StampedPacket
from cji_audit.verbs.packet_verify import VerifiedPacket
from cji_core.command import build
from cji_core.format.keys import save_private_key
from cji_core.jose import public_jwk
from cji_core.pairs import SigningPair
from cji_core.tlog.keys import LOG_TYPES, new_signers
from cji_core.trail.witnesses.records import Records
from cji_simulator.tsa import timestamp_authority
from tests.integration.cli.test_packet import CLOUD, cji, packet_in, ran
from tests.support.forge import machine
from tests.support.json_answers import answered
from tests.support.log_records import ORIGIN, entry, policy
from tests.support.packet_period import KEY, REVIEWER, agency, sound, write_trail
from tests.support.paths import ROOT
from tests.support.tlog_site import write_policy
from tests.support.tsa_forge import tsa

NO_SOCKET = """
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"a socket: {event}")
from tests.integration.cli.test_packet import cji
sys.addaudithook(refuse)
done = cji(*sys.argv[1:])
print(done.output)
sys.exit(done.exit_code)
"""


class Auditor(NamedTuple):
    """A packet that was signed and stamped, and what its reader has from elsewhere."""

    packet: Path
    pins: list[object]
    trail: Path


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    """The way of an agency, by the commands that its documentation prints."""
    folder = tmp_path_factory.mktemp("agency")
    _, given = write_trail(sound(), folder)
    for kind in ("receipts", "reviews"):
        (folder / kind).mkdir()
        for name, data in given.of(kind).items():
            (folder / kind / name).write_bytes(data)
    for name, key in {"receipt.pub": KEY, "reviewer.pub": REVIEWER}.items():
        (folder / name).write_text(public_jwk(key.public_key()) + "\n")
    lines = (folder / "audit.log").read_bytes().splitlines(keepends=True)
    Records(folder / "log").add(entry(lines, len(lines) - 1))
    write_policy(folder / "policy.toml", policy())
    more = ["--receipts", folder / "receipts", "--receipt-key", folder / "receipt.pub", "--reviews", folder / "reviews"]
    more += ["--reviewer-key", folder / "reviewer.pub", "--log", folder / "log", "--no-docx"]
    out, shown = packet_in(folder, *more)
    assert shown.exit_code == 0, shown.output
    pair = folder / "agency.key"
    save_private_key(agency(), pair, passphrase=None)
    unsigned = cji("stamp", out, "--request", folder / "q.tsq")
    assert (unsigned.exit_code, "Sign it first" in unsigned.output) == (2, True)
    assert ran("sign-packet", out, "--key", pair, "--public", folder / "agency.pub").exit_code == 0
    (folder / "tsa").mkdir()
    with timestamp_authority(folder / "tsa") as authority:
        (folder / "other.pem").write_bytes(tsa().roots[0].certificate)
        asked = ("stamp", out, "--authority", authority.url, *CLOUD)
        wrong = cji(*asked, "--tsa-root", folder / "other.pem")
        assert (wrong.exit_code, (out / "packet.tsr").exists()) == (3, False), wrong.output
        done = answered(cji(*asked, "--tsa-root", authority.root, "--json"), StampedPacket)
        assert done.time
    pins: list[object] = ["--signer", folder / "agency.pub", "--receipt-key", folder / "receipt.pub"]
    pins += ["--reviewer", folder / "reviewer.pub", "--tsa-root", authority.root]
    pins += ["--log-policy", folder / "policy.toml"]
    return Auditor(packet=out, pins=pins, trail=folder / "audit.log")


def test_a_reader_with_pins_and_no_network(auditor: Auditor) -> None:
    """Packet, pins and trail are enough: the process that verifies may open no socket."""
    arguments = ["verify", f"{auditor.packet}.zip", *auditor.pins, "--trail", auditor.trail, *CLOUD]
    command = [sys.executable, "-c", NO_SOCKET, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified: " in done.stdout
    assert "stamped by Simulated Timestamp Authority" in done.stdout
    assert "as given by the maker" not in done.stdout
    assert f"99 of 100 lines in the log {ORIGIN}, cosigned by a quorum at " in done.stdout


def test_without_pins_nothing_reads_as_verified(auditor: Auditor) -> None:
    shown = cji("verify", auditor.packet, "--trail", auditor.trail, *CLOUD)
    assert shown.exit_code == 3
    assert "verified" not in shown.output
    assert shown.output.count("as given by the maker") == 5  # signer, receipt key, reviewer, log, timestamp
    assert "log-not-pinned: " in shown.output
    assert "signer-not-pinned: " in shown.output


def test_every_claim_of_the_day_s_page_is_derived_again(auditor: Auditor) -> None:
    """Each link leads to a command, and each command, run as it stands there, states what the claim states."""
    out = auditor.packet.with_name("day.html")
    arguments = (f"{auditor.packet}.zip", *auditor.pins, "--trail", auditor.trail, *CLOUD, "--out", out)
    assert answered(ran("day", *arguments, "--json"), AuditorsDay) == AuditorsDay(page=str(out), trusted=True)
    page = lxml.html.parse(out).getroot()
    titles = [each.text for each in page.iter("h2")]
    named = ("Contents", "What was asked", "On whose word it rests", "What is proven", "What is open")
    assert titles == [*named, "What is due next", "Commands"]
    short = [[cell.text_content() for cell in row.iter("td")] for row in next(page.iter("tbody"))]
    assert [each[0] for each in short] == ["packet", "proven", "open", "overdue"]
    assert (short[0][1], short[3][1].partition(":")[0]) == ("trusted under your pins", "2026-11-09 00")
    asked = next(each for each in page.iter("table") if each.get("class") == "counts")
    totals = [sum(int(each[at].text_content()) for each in asked.find("tbody")) for at in (4, 3, 1, 2)]
    wanted = "{} met, {} partial, {} not met, {} gap, of 613 fragments".format(*totals)
    assert short[1][1] == wanted
    commands = {each.get("id"): [line.text_content() for line in each] for each in page.iter("pre")}
    claims = [[*row.iter("td")] for row in page.iter("tr") if row.find("td") is not None]
    links = [[link.get("href", "")[1:] for cell in row for link in cell.iter("a")] for row in claims]
    assert all(len(each) == 1 and each[0] in commands for each in links)
    assert len(links) > 40
    found = [(link, [cell.text_content() for cell in row]) for row, (link,) in zip(claims, links, strict=True)]
    results = dict(reversed(found[len(short) :]))  # the first claim of each command, beneath the short ones
    for name in ("reviews", "chain", "receipts-held"):  # a check each of reviews, of the trail, and of receipts
        check, why, *_ = results[f"command-{name}"]
        again = CliRunner().invoke(build(machine().trust), shlex.split(commands[f"command-{name}"][0])[1:])
        assert (check, again.exit_code) == (name, 0), again.output
        assert f"check {name} holds: {why}" in again.output
    evidence = [line for each in commands.values() for line in each[1:] if line.startswith(("sed ", "head -c "))]
    for line in dict.fromkeys(evidence):
        subprocess.run(["sh", "-ec", line], cwd=auditor.trail.parent, check=True, capture_output=True)
    assert commands["command-all"] == [commands["command-chain"][0].removesuffix(" --check chain")]
    (next_one,) = [each for each in claims if len(each) == 4 and "W44" in each[2].text_content()]
    assert next_one[0].text_content() == "2026-11-09 00:00 UTC"


def test_a_day_without_pins_proves_nothing(auditor: Auditor) -> None:
    out = auditor.packet.with_name("unpinned.html")
    found = ran("day", auditor.packet, *CLOUD, "--out", out)
    assert (found.exit_code, "verified" in found.output) == (3, False)
    text = out.read_text()
    assert "Nothing is proven: see what is open." in text
    assert "What is proven" not in text
    assert "stated, not proven" in text
    assert "verified" not in text
    assert text.count("as given by the maker") == 5
    assert "signer-not-pinned" in text


def verified(found: Result) -> tuple[int, bool]:
    return found.exit_code, "verified" in found.output


@pytest.mark.parametrize("role", ["--signer", "--receipt-key", "--reviewer", "--log-policy", "--tsa-root"])
def test_each_pin_is_needed(auditor: Auditor, role: str, tmp_path: Path) -> None:
    """It cannot be another one; and only the timestamp's can be left out, which is then the maker's word."""
    at = auditor.pins.index(role)
    other = tmp_path / "other"
    if role == "--tsa-root":
        other.write_bytes(tsa().roots[0].certificate)
    elif role == "--log-policy":
        write_policy(other, policy(log=new_signers(ORIGIN, LOG_TYPES)))
    else:
        single = ec.generate_private_key(ec.SECP384R1()).public_key()
        other.write_text(public_jwk(SigningPair.generate().public_key() if role == "--signer" else single))
    before, after = auditor.pins[:at], auditor.pins[at + 2 :]
    assert verified(cji("verify", auditor.packet, *before, role, other, *after, *CLOUD)) == (3, False)
    without = cji("verify", auditor.packet, *before, *after, *CLOUD)
    assert verified(without) == ((0, True) if role == "--tsa-root" else (3, False))
    assert ("timestamp: as given by the maker" in without.output) == (role == "--tsa-root")


def test_a_packet_by_somebody_without_a_pinned_key(auditor: Auditor, tmp_path: Path) -> None:
    """All of it is sound, under keys of the maker's own: nothing of it reads as verified."""
    out = tmp_path / "packet"
    out.mkdir()
    for path in sorted(auditor.packet.rglob("*")):
        target = out / path.relative_to(auditor.packet)
        if path.is_dir():
            target.mkdir()
        elif path.name not in {"packet.jws", "packet.tsr"}:
            target.write_bytes(path.read_bytes())
    save_private_key(SigningPair.generate(), tmp_path / "own.key", passphrase=None)
    assert ran("sign-packet", out, "--key", tmp_path / "own.key").exit_code == 0
    found = answered(cji("verify", out, *auditor.pins, "--json", *CLOUD), VerifiedPacket, status=3)
    assert [each.reason for each in found.refusals] == ["signer-is-another", "stamp-missing"]
    assert (found.trusted, found.differences) == (False, ())
    assert verified(cji("verify", out, *auditor.pins, *CLOUD)) == (3, False)
