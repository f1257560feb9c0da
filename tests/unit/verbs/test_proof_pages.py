"""Pages of evidence and receipts: what was proven, what was not, and why a file was refused."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_attestation.checks import Check, Failure
from cji_attestation.verbs.proof_page import Proof, proof_page, proof_text
from cji_core.command import build
from tests.support.evidence_files import evidence_file
from tests.support.forge import machine
from tests.support.reviews import decided_profile

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[2J"


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(AZURE_US, machine().trust), [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_bytes(evidence_file())
    return path


def test_accepted_evidence_shows_what_is_open_first(evidence: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    at = f"{machine().now:%Y-%m-%dT%H:%M:%SZ}"
    done = cji("evidence", "show", evidence, "--profile", decided_profile(tmp_path), "--at", at, "--html", page)
    assert (done.exit_code, done.output.startswith(f"{page}: Accepted")) == (0, True)
    text = page.read_text(encoding="utf-8")
    assert "SIMULATED" in text
    assert text.index("What was not checked") < text.index("What was proven") < text.index("What the file states")
    assert "A real AMD processor made the report." in text


def test_a_check_without_a_comparison_is_not_proven(evidence: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    at = f"{machine().now:%Y-%m-%dT%H:%M:%SZ}"
    cji("evidence", "show", evidence, "--profile", decided_profile(tmp_path), "--at", at, "--html", page)
    left, proven = page.read_text(encoding="utf-8").split("What was proven")
    for name in ("E12", "E43", "E47"):
        if f"<strong>{name}</strong>" in left:
            assert f'<span class="chip good">{name}</span>' not in proven


def test_refused_evidence_gets_a_page_and_status_3(evidence: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = cji("evidence", "show", evidence, "--html", page)
    assert (done.exit_code, "Refused at" in done.output) == (3, True)
    text = page.read_text(encoding="utf-8")
    assert "What failed" in text
    assert 'class="state bad"' in text


def test_without_a_page_nothing_is_verified(evidence: Path) -> None:
    done = cji("evidence", "show", evidence)
    assert (done.exit_code, done.output.startswith("not verified")) == (0, True)


def test_a_page_that_exists_is_kept(evidence: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert cji("evidence", "show", evidence, "--html", page).exit_code == 2
    assert page.read_text() == "mine"


def proof(*, accepted: bool | None = True, failed: tuple[Failure, ...] = ()) -> Proof:
    return Proof(
        title="Evidence",
        outcome=HOSTILE,
        accepted=accepted,
        about={"machine": HOSTILE},
        passed=[Check("E01", HOSTILE), Check("E01", "again"), Check("unknown", HOSTILE)],
        failed=failed,
        unchecked={"E40": HOSTILE},
        contents={"file": [("name", HOSTILE)]},
    )


def test_no_value_becomes_an_element_or_moves_the_cursor() -> None:
    text = "".join(proof_page(proof(failed=(Failure("E02", HOSTILE, HOSTILE),))))
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x1b" not in "\n".join(proof_text(proof()).splitlines()[1:])


@pytest.mark.parametrize(
    ("accepted", "notice"), [(True, "Verified by the machine"), (False, "REFUSED"), (None, "Not verified")]
)
def test_the_notice_states_the_outcome(accepted: bool | None, notice: str) -> None:
    assert notice in "".join(proof_page(proof(accepted=accepted)))


def test_every_finding_of_a_check_is_shown() -> None:
    text = "".join(proof_page(proof()))
    assert text.count(">E01<") == 2
    assert "Time and file" in text
