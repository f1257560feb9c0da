"""E60: boots that no release in force explains, and logs of releases that do not count."""

import subprocess
import sys
from typing import Any, Final

import pytest

from cji_attestation import Fault
from cji_attestation.appraisal import ReferenceValues, Verdict, check_reference
from cji_attestation.checks import Skipped
from cji_core.tlog.leaves import PcrValue, Release
from tests.support.boot_forge import with_boot
from tests.support.evidence import refused
from tests.support.forge import decided, machine
from tests.support.refusals import rejected
from tests.support.release_log import KEYS, Publisher, a_release, an_image, withdrawal
from tests.support.tlog_site import policy_toml

NOW: Final = int(machine().now.timestamp())
UKI: Final = (4, 9, 11)


def appraised(**values: Any) -> Verdict:
    return machine().appraise(with_boot(), reference=decided(**values))


def of_boot(version: str, other: tuple[int, ...] = (), **changes: Any) -> Release:
    """The release that the machine boots, but for the PCRs in `other`."""
    boot = appraised().boot
    assert boot is not None
    values = tuple(PcrValue(pcr=pcr, sha256="0e" * 32 if pcr in other else boot.pcrs[pcr].hex()) for pcr in UKI)
    return a_release(version, image=an_image(pcrs=values, **changes))


def log_of(*decisions: Any, keys: tuple[str, ...] | None = None, **how: Any) -> dict[str, Any]:
    """Reference values with a log of these."""
    publisher = Publisher()
    for each in decisions:
        publisher.states(each)
    return {
        "releases": publisher.copy(**{"at": NOW, **how}),
        "release_policy": policy_toml(publisher.policy),
        "release_bundle_keys": keys,
    }


def refusal(values: dict[str, Any]) -> str:
    with rejected("E60", fault=Fault.POLICY_MISMATCH) as caught:
        appraised(**values)
    assert len(caught.value.failures) == 1
    return caught.value.failures[0].found


def test_a_release_in_force_is_accepted() -> None:
    values = log_of(of_boot("0.2.0"), a_release("0.1.9", 7), keys=(KEYS, "0e" * 48))
    found = dict(appraised(**values).checks)
    assert found["E60"] == "release cji-worker 0.2.0 production azure-cvm, in a log of 2 entries"


def test_without_a_log_nothing_is_compared() -> None:
    (found,) = (each for each in appraised().checks if each.id == "E60")
    assert isinstance(found, Skipped)


def test_a_boot_of_no_release_is_refused() -> None:
    values = log_of(a_release("0.2.0"), a_release("0.1.9", 7))
    assert refusal(values) == "PCR 4 of none; PCR 9 of none; PCR 11 of none"
    assert refusal(log_of()) == "a log without an image"
    refused(machine().evidence(), "E60", Fault.POLICY_MISMATCH, reference=decided(**values))  # PCRs 9 and 11 not shown


def test_a_mix_of_two_releases_is_refused() -> None:
    """Each value is of a release, and no release has them all."""
    found = refusal(log_of(of_boot("0.2.0", (9, 11)), of_boot("0.1.9", (4,))))
    assert found.startswith("PCR 4 of cji-worker 0.2.0 production azure-cvm; PCR 9 of cji-worker 0.1.9 production")


def test_a_withdrawn_release_is_refused() -> None:
    release = of_boot("0.2.0")
    ended = "release cji-worker 0.2.0 production azure-cvm, withdrawn 2026-12-01T00:00:00.00Z: CVE-2026-1, ticket 4711"
    assert refusal(log_of(release, withdrawal(release))) == ended
    # nor does another release of the same bytes bring it back
    assert refusal(log_of(release, withdrawal(release), of_boot("0.2.1"))) == ended


def test_a_debug_image_is_refused() -> None:
    assert refusal(log_of(of_boot("0.2.0", flavour="debug"))) == "release cji-worker 0.2.0 debug azure-cvm"


def test_another_agency_s_image_is_refused() -> None:
    """A publisher who runs for several has all of them in one log."""
    assert refusal(log_of(of_boot("0.2.0"), keys=("0e" * 48,))).endswith(f", of bundle keys {KEYS}")


@pytest.mark.parametrize("how", [{"at": NOW - 86_401}, {"by": (0, 1)}], ids=["old", "no quorum"])
def test_a_log_that_does_not_count_refuses_every_machine(how: dict[str, Any]) -> None:
    assert refusal(log_of(of_boot("0.2.0"), **how)).startswith("the log of releases does not count: cosigned by ")


def test_another_s_log_or_policy_refuses_every_machine() -> None:
    ours, other = log_of(of_boot("0.2.0")), log_of(of_boot("0.2.0"))
    for values in (
        {**ours, "release_policy": other["release_policy"]},
        {**ours, "release_policy": b"origin = 1"},
        {**ours, "releases": b"{}"},
    ):
        assert refusal(values).startswith("the log of releases does not count: ")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("releases", {"releases": b"x"}),
        ("releases", {"release_policy": b"x"}),
        ("release_bundle_keys", {"release_bundle_keys": (KEYS,)}),
        ("release_bundle_keys", {"releases": b"x", "release_policy": b"x", "release_bundle_keys": ()}),
        ("release_bundle_keys", {"releases": b"x", "release_policy": b"x", "release_bundle_keys": ("0b",)}),
    ],
)
def test_half_a_pin_is_a_mistake(field: str, values: dict[str, Any]) -> None:
    with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(**values))


def test_who_pins_no_log_loads_no_log() -> None:
    code = (
        "import sys, cji_attestation.appraisal, cji_attestation.attested\n"
        "print([name for name in sys.modules if name.startswith('cji_core.tlog')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
