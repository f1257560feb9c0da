"""The catalogue of checks: complete, without repetition, and the same in the code and in docs/attestation.md."""

import re
from functools import partial

import pytest

from cji_attestation import AttestationError, Fault
from cji_attestation.checks import CATALOGUE, GROUPS, NAMED, Check, Failure, compared, remedy, requirement
from cji_attestation.errors import Record, invalid
from tests.support.boot_forge import with_boot
from tests.support.forge import machine
from tests.support.paths import ROOT
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

VERBS = (
    *(
        "Ask",
        "Attest",
        "Boot",
        "Check",
        "Collect",
        "Compare",
        "Correct",
        "Deploy",
        "Enable",
        "Fetch",
        "Gather",
        "Give",
        "Keep",
        "Name",
        "Pin",
        "Plan",
        "Raise",
        "Sign",
    ),
    *("Put", "Reboot", "Redeploy", "Request", "Restart", "Review", "Run", "Set", "Stop", "Supply", "Treat", "Try"),
    *("Update", "Use", "Wait", "Write"),
)


def documented() -> dict[str, tuple[str, ...]]:
    """(requires, establishes, if it fails) of each check."""
    text = (ROOT / "docs" / "attestation.md").read_text()
    rows = re.findall(r"^\| ([ETSH]\d\d) \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == len({row[0] for row in rows})
    return {check: texts for check, *texts in rows for texts in [tuple(texts)]}


@pytest.mark.parametrize(("letter", "last"), [("E", 61), ("T", 19), ("S", 11), ("H", 5)])
def test_the_page_has_every_check_of_the_catalogue(letter: str, last: int) -> None:
    ours = {one.id: (one.requires, one.establishes, one.remedy) for one in CATALOGUE.values() if one.id[0] == letter}
    assert {check: texts for check, texts in documented().items() if check[0] == letter} == ours
    assert sorted(ours) == [f"{letter}{number:02}" for number in range(1, last + 1)]


def test_every_check_stands_in_one_group() -> None:
    assert sum(len(group.checks) for group in GROUPS) == len(CATALOGUE)


def test_every_check_establishes_something_of_its_own() -> None:
    texts = [one.establishes for one in CATALOGUE.values()]
    assert all(texts)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("text", [*(one.remedy for one in CATALOGUE.values()), *NAMED.values()])
def test_remedies_are_imperative_sentences(text: str) -> None:
    assert text.split(maxsplit=1)[0].strip(":,") in VERBS
    assert text.endswith(".")


def test_what_a_reboot_helps_against() -> None:
    reboots = {one.id for one in CATALOGUE.values() if "reboot the vm" in one.remedy.lower()}
    assert reboots == {
        "E22",
        "E35",
        "E47",
        "E48",
        "E50",
        "E53",
        "E59",
        "T11",
    }  # a stale certificate; a TPM that was reset; PCRs; a setting that takes effect at boot


def test_a_verdict_has_exactly_the_checks_of_its_hardware() -> None:
    report, snp, tdx, vtpm, policy = ([one.id for one in group.checks] for group in GROUPS[:5])
    own = {"snp": {"E08", "E09", "E10", "E12", "E34", "E41", "E42"}, "tdx": {"E29", "E30", "E55"}}
    found = [check.id for check in machine().appraise(with_boot()).checks]
    assert found == [*report, *snp, *vtpm, *(one for one in policy if one not in own["tdx"])]
    verdict = machine().appraise(with_boot(partial(intel().evidence, machine())), trust=intel().trust)
    assert [check.id for check in verdict.checks] == [
        *report,
        *tdx,
        *vtpm,
        *(one for one in policy if one not in own["snp"]),
    ]


def test_an_error_takes_the_checks_that_passed_along() -> None:
    def refuse() -> None:
        with Record() as record:
            record.add(Check("E01", "read"))
            assert record.take((7, Check("E02", "bound"))) == 7
            raise invalid("E16", found="one nonce", expected="another")

    with rejected("E16") as caught:
        refuse()
    assert caught.value.passed == (("E01", "read"), ("E02", "bound"))
    assert caught.value.failures == (("E16", "one nonce", "another"),)
    assert "nonce of your own" in caught.value.remedy
    assert "one nonce" not in str(caught.value)
    with pytest.raises(ZeroDivisionError), Record():
        raise ZeroDivisionError


def test_names_without_a_number_fall_back_to_their_faults_remedy() -> None:
    assert remedy("kek-id") == NAMED["kek-id"]
    assert (remedy("nothing"), requirement("nothing")) == (None, "")
    error = AttestationError(Fault.CONFIG_INVALID, check="nothing")
    assert error.remedy.startswith("Correct")
    assert error.failures == (("nothing", "", ""),)


def test_a_failure_without_words_expects_the_requirement() -> None:
    assert invalid("E16").failures == (("E16", "", requirement("E16")),)
    assert invalid("E16", expected="ours").failures == (("E16", "", "ours"),)


def test_a_comparison_expects_what_its_check_requires() -> None:
    assert compared("E16", "seen", holds=True, found="") == Check("E16", "seen")
    assert compared("E16", "seen", holds=False, found="other") == Failure("E16", "other", requirement("E16"))
    assert requirement("E16")
    assert compared("E16", "seen", holds=False, found="other", expected="this") == Failure("E16", "other", "this")


def test_an_error_has_every_failure_that_it_is_given() -> None:
    several = (Failure("E08", "a", "b"), Failure("E09", "c", "d"))
    assert AttestationError(Fault.POLICY_MISMATCH, check="E08", failures=several).failures == several
    assert invalid("E16", found="x").failures == (Failure("E16", "x", requirement("E16")),)
    assert invalid("E16", found="x", expected="y").failures == (Failure("E16", "x", "y"),)
