"""A worker and the release policies of its keys: what is held, what is refused, what is written down."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_attestation import Trust
from cji_core.errors import Reason, StartupError
from cji_core.format.configuration.worker import load
from cji_core.trail import KeyReleased, read
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site
from cji_simulator.worker import working_tree
from cji_worker.host import TpmClockWatch
from cji_worker.keyholder.custody import Custody
from tests.support.refusals import refused

MAX_STEPS = 20


@pytest.fixture(autouse=True)
def _one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a report that is younger than the paravisor's two seconds."""
    monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))


Edit = Callable[[str], str]


def configured(folder: Path, simulation: Simulation, keys: Sequence[Cmk], edit: Edit = str) -> Path:
    path = worker_config(folder, simulation=simulation, keys=keys).config
    path.write_text(edit(path.read_text()))
    return path


def stepped(
    folder: Path, simulation: Simulation, keys: Sequence[Cmk], edit: Edit = str, trust: Trust | None = None
) -> Custody:
    """A custody in this process, after it has attested and asked for each of its keys."""
    custody = Custody(
        config=load(configured(folder, simulation, keys, edit)),
        code=working_tree(),
        trust=trust or simulation.trust,
        receipt_key=b"r" * 32,
        tpm=TpmClockWatch(),
    )
    for _ in range(MAX_STEPS):
        if Reason.NOT_READY not in custody.holdings.missing.values():
            break
        custody.step()
    return custody


def refusal(custody: Custody, kek_id: str) -> Reason:
    with refused() as caught:
        custody.holdings.key(kek_id)
    return caught.value.reason


def two_authorities(simulation: Simulation) -> dict[str, Any]:
    policy = simulation.release_policy()
    policy["anyOf"].append(policy["anyOf"][0] | {"authority": simulation.endpoints.other_maa_url})
    return policy


def test_k01_a_weak_key_is_not_held_and_the_others_are(tmp_path: Path, simulation: Simulation) -> None:
    policy = simulation.release_policy()
    conditions = policy["anyOf"][0]["allOf"]
    conditions[:] = [one for one in conditions if one.get("claim") != "secureboot"]
    weak, strong = simulation.create_cmk("worker-weak", policy=policy), simulation.create_cmk("worker-strong")
    custody = stepped(tmp_path, simulation, [weak, strong])
    assert set(custody.holdings.usable()) == {strong.kek_id}
    assert refusal(custody, weak.kek_id) is Reason.KEY_RELEASE_DENIED


def test_an_ec_key_is_not_held(tmp_path: Path, simulation: Simulation) -> None:
    curve, rsa = simulation.create_cmk("worker-ec", curve="P-384"), simulation.create_cmk("worker-rsa")
    custody = stepped(tmp_path, simulation, [curve, rsa])
    assert set(custody.holdings.usable()) == {rsa.kek_id}
    assert refusal(custody, curve.kek_id) is Reason.KEY_RELEASE_DENIED


def test_k13_a_version_that_is_not_listed_is_unknown(tmp_path: Path, simulation: Simulation) -> None:
    oldest = simulation.create_cmk("worker-turning")
    previous, current = simulation.rotate_cmk("worker-turning"), simulation.rotate_cmk("worker-turning")
    custody = stepped(tmp_path, simulation, [previous, current])
    assert set(custody.holdings.usable()) == {previous.kek_id, current.kek_id}
    assert refusal(custody, oldest.kek_id) is Reason.UNKNOWN_KEY


def test_what_is_accepted_is_named_for_one_key(tmp_path: Path, simulation: Simulation) -> None:
    """A key whose policy names a second provider, which the trust knows too."""
    known = (*simulation.trust.maa_hosts, simulation.endpoints.other_maa_url.removeprefix("https://"))
    trust = msgspec.structs.replace(simulation.trust, maa_hosts=known)
    one, two = (simulation.create_cmk(f"worker-two-{n}", policy=two_authorities(simulation)) for n in (1, 2))
    custody = stepped(tmp_path, simulation, [one, two], lambda text: f'{text}\naccept_findings = ["RP04"]\n', trust)
    assert set(custody.holdings.usable()) == {two.kek_id}  # the last table's
    assert custody.holdings.key(two.kek_id).released.policy.accepted == ("RP04",)
    assert refusal(custody, one.kek_id) is Reason.KEY_RELEASE_DENIED


def test_the_trail_says_under_which_policy_a_key_was_released(site: Site) -> None:
    events = [read(line).event for line in site.files.audit.read_bytes().splitlines(keepends=True)]
    found = next(event for event in events if isinstance(event, KeyReleased))
    assert found.kek_id == site.cmk.kek_id
    assert (found.policy_sha256, found.policy_before) == (site.cmk.policy_sha256, None)
    assert (found.policy_immutable, found.policy_accepted) == (False, ())
    assert found.policy_warnings == ("RP17", "RP30")


@pytest.mark.parametrize("accepted", ['["RP12"]', '["RP01", "RP17"]', '"RP01"', "[1]", '[""]'])
def test_a15_nothing_else_can_be_accepted(tmp_path: Path, simulation: Simulation, accepted: str) -> None:
    cmk = simulation.create_cmk("worker-accept")
    path = configured(tmp_path, simulation, [cmk], lambda text: f"{text}\naccept_findings = {accepted}\n")
    with pytest.raises(StartupError):
        load(path)


def test_the_same_key_twice_is_a_mistake(tmp_path: Path, simulation: Simulation) -> None:
    cmk = simulation.create_cmk("worker-twice")
    with pytest.raises(StartupError, match="same kek_id"):
        load(configured(tmp_path, simulation, [cmk, cmk]))
