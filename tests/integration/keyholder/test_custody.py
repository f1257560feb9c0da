"""Custody step by step, in this process: a real attester, TPM and vault, and time short enough to wait for."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cji_attestation.appraisal import ReferenceValues
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.release import Attestation
from cji_core.errors import Reason, Refusal, Stage, StartupError
from cji_core.format.configuration.worker import KeySection, load
from cji_core.format.keys import new_ml_kem_seed
from cji_core.jose import key_id, parse_rsa
from cji_core.strict import b64url
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.worker import working_tree
from cji_worker.host import TpmClockWatch
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.holdings import CustodyEvent, Dropped, HeldKey, NotReleased
from cji_worker.keyholder.own_evidence import OwnEvidence, make_folder
from cji_worker.keyholder.quotes import Quoted
from tests.support.refusals import refused
from tests.support.simulations import simulated

LONG = 3600.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """Servers of this module: its tests change the machine."""
    with simulated(tmp_path_factory.mktemp("custody"), release_limit=1000, report_period=0) as running:
        yield running


@pytest.fixture
def azure(servers: Simulation) -> Iterator[Simulation]:
    servers.reboot()
    yield servers
    servers.clear_faults()


@pytest.fixture(scope="module")
def keys(servers: Simulation) -> tuple[Cmk, Cmk]:
    return servers.create_cmk("custody-a"), servers.create_cmk("custody-b")


class Stepped:
    """A custody and everything that happened to it. A key is renewed after a quarter to 45 % of `lifetime`."""

    def __init__(
        self,
        folder: Path,
        azure: Simulation,
        *keys: Cmk,
        lifetime: float = LONG,
        check: float = LONG,
        change_key: Callable[[KeySection], KeySection] = lambda key: key,
        own: OwnEvidence | None = None,
        **pins: Any,
    ) -> None:
        config = load(worker_config(folder, simulation=azure, keys=keys).config)
        values = config.attestation.reference_values | pins
        section = msgspec.structs.replace(
            config.attestation, key_lifetime_s=lifetime, pcr_check_s=check, reference_values=values
        )
        config = msgspec.structs.replace(config, attestation=section, keys=tuple(map(change_key, config.keys)))
        self.tpm_clock = TpmClockWatch()
        self.custody = Custody(
            config=config,
            code=working_tree(),
            trust=azure.trust,
            receipt_key=b"r" * 32,
            tpm=self.tpm_clock,
            own=own,
        )
        self.seen: list[CustodyEvent] = []

    @property
    def held(self) -> set[str]:
        return set(self.custody.holdings.usable())

    def look(self) -> list[CustodyEvent]:
        """What happened so far."""
        self.seen += self.custody.events()
        return self.seen

    def until(self, what: Callable[[], object], *, seconds: float = 60) -> None:
        """Step until it is so."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not come about"
            self.custody.step()
            self.look()

    def count(self, kind: type) -> int:
        return sum(isinstance(turn, kind) for turn in self.look())

    def dropped(self) -> list[tuple[str, str]]:
        return [(turn.kek_id, turn.cause) for turn in self.look() if isinstance(turn, Dropped)]

    def refusal(self, cmk: Cmk) -> Reason:
        with refused() as caught:
            self.custody.holdings.key(cmk.kek_id)
        return caught.value.reason


def test_one_attestation_and_one_release_for_each_key(tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]) -> None:
    mine = Stepped(tmp_path, azure, *keys)
    assert [mine.refusal(cmk) for cmk in keys] == [Reason.NOT_READY] * 2
    mine.until(lambda: mine.held == {cmk.kek_id for cmk in keys})
    assert [type(turn) for turn in mine.seen] == [Attestation, HeldKey, HeldKey]
    for cmk in keys:
        held = mine.custody.holdings.key(cmk.kek_id)
        assert held.attestation is mine.custody.holdings.evidence()
        assert mine.custody.holdings.until - LONG < held.until <= time.monotonic() + LONG


def test_the_ml_kem_half_exists_after_the_release(tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]) -> None:
    mine = Stepped(tmp_path, azure, keys[0])
    assert not mine.custody.holdings.keys
    mine.until(lambda: mine.held)
    pinned = load(tmp_path / "worker.toml").keys[0].ml_kem_thumbprint
    ml_kem = mine.custody.holdings.key(keys[0].kek_id).private.ml_kem
    assert ml_kem is not None
    assert key_id(ml_kem.public_key()) == pinned


def test_evidence_is_left_after_the_keys_and_holds_none_up(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], capsys: pytest.CaptureFixture[str]
) -> None:
    trail = tmp_path / "t" / "audit.log"
    trail.parent.mkdir()
    own = OwnEvidence(trail, receipt_jwk="", receipt_key=b"r" * 32)
    mine = Stepped(tmp_path, azure, *keys, own=own)
    mine.until(lambda: mine.held)
    assert len(mine.held) == 1
    mine.custody.step()
    assert len(mine.held) == 2
    assert "evidence not written" not in capsys.readouterr().err
    mine.custody.step()
    assert "evidence not written" in capsys.readouterr().err  # the folder is not there
    make_folder(trail)
    mine.until(own.path.exists)
    before = own.path.stat()
    mine.custody.renew()
    mine.until(lambda: mine.count(Attestation) == 2 and mine.count(HeldKey) == 4)
    assert own.path.stat() == before  # it is left once


def other_seed(key: KeySection, cmk: Cmk, *, kek_id: str) -> KeySection:
    """A seed that somebody else made for this public key."""
    return with_seed(key, new_ml_kem_seed(parse_rsa(json.dumps(cmk.public_jwk)), kek_id)[0])


def with_seed(key: KeySection, seed: str, *, mode: int = 0o400) -> KeySection:
    """The key with another file for its seed."""
    file = Path(str(key.ml_kem_seed_file)).with_name("other.seed")
    file.write_text(seed)
    file.chmod(mode)
    return msgspec.structs.replace(key, ml_kem_seed_file=str(file))


@pytest.mark.parametrize("wrong", ["of another ML-KEM key", "of another key id", "noise", "a byte short"])
def test_x15_a_wrong_seed_releases_nothing(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], wrong: str
) -> None:
    """Who writes the configuration cannot put an ML-KEM key of their own in the place of the pinned one."""
    cmk, other = keys
    change: dict[str, Callable[[KeySection], KeySection]] = {
        "of another ML-KEM key": lambda key: other_seed(key, cmk, kek_id=cmk.kek_id),
        "of another key id": lambda key: other_seed(key, cmk, kek_id=other.kek_id),
        "noise": lambda key: with_seed(key, b64url(bytes(384))),
        "a byte short": lambda key: with_seed(key, b64url(bytes(383))),
    }
    mine = Stepped(tmp_path, azure, cmk, change_key=change[wrong])
    mine.until(lambda: mine.refusal(cmk) is not Reason.NOT_READY)
    assert mine.refusal(cmk) is Reason.KEY_RELEASE_DENIED
    assert not mine.held


def test_a_seed_that_is_no_base64url_is_a_startup_error(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    for seed in ("é", "AAAA" * 1000):
        with pytest.raises(StartupError, match="is not a wrapped seed"):
            Stepped(tmp_path, azure, keys[0], change_key=partial(with_seed, seed=seed))
    absent = str(tmp_path / "none")
    with pytest.raises(StartupError, match="cannot be read"):
        Stepped(tmp_path, azure, keys[0], change_key=lambda key: msgspec.structs.replace(key, ml_kem_seed_file=absent))


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o620])
def test_a_seed_that_others_may_use_is_refused(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], mode: int
) -> None:
    with pytest.raises(StartupError, match="others than its owner"):
        Stepped(tmp_path, azure, keys[0], change_key=lambda key: with_seed(key, "AAAA", mode=mode))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_nonce_of_another_length_is_refused_at_once(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], length: int
) -> None:
    answers: list[Quoted | Refusal] = []
    Stepped(tmp_path, azure, keys[0]).custody.quotes.ask(bytes(length), answers.append)
    (answer,) = answers
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.stage) == (Reason.BAD_PARAMETERS, Stage.OPEN)


def disabled(azure: Simulation, cmk: Cmk) -> None:
    azure.enable_cmk(cmk, enabled=False)


def policy_changed(azure: Simulation, cmk: Cmk) -> None:
    policy = azure.release_policy()
    policy["anyOf"][0]["allOf"].append({"claim": "x-ms-azurevm-vmid", "equals": "another machine"})
    azure.set_policy("custody-revoked", policy)


@pytest.mark.parametrize("revoke", [disabled, policy_changed])
def test_k08_a_revoked_key_is_dropped_within_its_lifetime_alone(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], revoke: Callable[[Simulation, Cmk], None]
) -> None:
    mine, other = azure.create_cmk("custody-revoked"), keys[1]
    found = Stepped(tmp_path, azure, mine, other, lifetime=20)
    found.until(lambda: len(found.held) == 2)
    revoke(azure, mine)
    revoked = time.monotonic()
    found.until(lambda: found.dropped() and found.count(HeldKey) == 3)
    assert time.monotonic() - revoked < 20
    assert found.dropped() == [(mine.kek_id, "revoked")]
    assert found.held == {other.kek_id}
    assert found.refusal(mine) is Reason.KEY_RELEASE_DENIED


def test_k08_a_role_that_is_taken_away_denies_every_key(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, *keys, lifetime=12)
    found.until(lambda: len(found.held) == 2)
    azure.fault(Service.VAULT, Kind.FORBIDDEN)
    found.until(lambda: len(found.dropped()) == 2)
    assert {cause for _, cause in found.dropped()} == {"revoked"}
    assert found.custody.holdings.why() is Reason.KEY_RELEASE_DENIED
    azure.clear_faults()
    found.until(lambda: len(found.held) == 2)


def test_o02_a_vault_outage_costs_no_key_before_it_expires(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0], lifetime=6)
    found.until(lambda: found.held)
    until = found.custody.holdings.key(keys[0].kek_id).until
    azure.fault(Service.VAULT, Kind.DOWN)
    found.until(lambda: found.count(Attestation) == 2)
    found.custody.step()  # a release that fails
    assert found.held
    time.sleep(max(0.0, until - time.monotonic()))
    assert not found.held
    assert found.dropped() == [(keys[0].kek_id, "expired")]
    assert found.refusal(keys[0]) is Reason.NOT_READY


def test_f09_a_changed_pcr_drops_every_key_first(tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]) -> None:
    found = Stepped(tmp_path, azure, *keys, check=0.2)
    found.until(lambda: len(found.held) == 2)
    before = found.custody.holdings.evidence()
    assert before is not None
    azure.extend_pcr(12)
    found.until(found.dropped)
    assert {cause for _, cause in found.dropped()} == {"pcr-drift"}
    assert not found.held
    assert found.custody.holdings.evidence() is None
    assert found.refusal(keys[0]) is Reason.ATTESTATION_REJECTED
    found.until(lambda: len(found.held) == 2)  # nothing pins the PCRs: the machine as it is now is let in
    after = found.custody.holdings.evidence()
    assert after is not None
    assert [pcr for pcr in range(16) if after.booted[pcr] != before.booted[pcr]] == [12]


def test_x03_a_second_start_in_a_boot_ends_the_process(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    """Only a reboot helps, and the service manager reboots when the unit has failed often enough."""
    first = Stepped(tmp_path / "first", azure, keys[0])
    first.until(lambda: first.held)
    second = Stepped(tmp_path / "second", azure, keys[0])
    with pytest.raises(StartupError, match="started in this boot"):
        second.until(lambda: second.held)
    assert not second.held


def test_x03_no_caller_is_answered_before_the_first_key(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    azure.fault(Service.VAULT, Kind.DOWN)
    found, answers = Stepped(tmp_path, azure, keys[0]), list[Quoted | Refusal]()
    found.until(lambda: found.count(Attestation))
    found.custody.quotes.ask(bytes(32), answers.append)
    found.custody.quotes.serve(time.monotonic() + 0.5)
    (answer,) = answers
    assert isinstance(answer, Refusal)
    assert answer.reason is Reason.NOT_READY


def test_f09_a_machine_that_left_its_reference_values_stays_out(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    golden = Stepped(tmp_path / "golden", azure, keys[0])
    golden.until(lambda: golden.held)
    evidence = golden.custody.holdings.evidence()
    assert evidence is not None
    pins: dict[str, Any] = {"pcrs": {"12": [evidence.booted[12].hex()]}}
    azure.reboot()
    found = Stepped(tmp_path / "pinned", azure, keys[0], check=0.2, **pins)
    found.until(lambda: found.held)
    azure.extend_pcr(12)
    found.until(found.dropped)
    found.custody.step()
    assert found.custody.holdings.why() is Reason.ATTESTATION_REJECTED
    assert (found.count(Attestation), found.count(HeldKey)) == (1, 1)


def test_other_reference_values_count_at_once(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], capsys: pytest.CaptureFixture[str]
) -> None:
    """For keys that are held too, without a new attestation: AMD may have revoked this processor."""
    found = Stepped(tmp_path, azure, keys[0])
    found.until(lambda: found.held)
    values, listed = load(tmp_path / "worker.toml").attestation.values(), fetch_crl(azure.trust, "Genoa").crl
    renewed = msgspec.convert(values | {"amd_crls": {"Genoa": listed}}, ReferenceValues, str_keys=True)
    found.custody.require(renewed)
    found.until(lambda: found.count(Attestation) == 2)
    evidence = found.custody.holdings.evidence()
    assert evidence is not None
    assert dict(evidence.verdict.checks)["E33"].startswith("not revoked, by a CRL of ")
    assert not found.dropped()
    found.custody.require(msgspec.structs.replace(renewed, amd_crls={"Genoa": b"no list of AMD's"}))
    azure.fault(Service.MAA, Kind.DOWN)
    answers = list[Quoted | Refusal]()
    found.custody.quotes.ask(bytes(32), answers.append)
    found.custody.step()
    assert found.dropped() == [(keys[0].kek_id, "evidence")]
    assert "not as required" in capsys.readouterr().err
    found.until(lambda: answers)
    assert isinstance(answers[0], Refusal)


def test_f09_a_renewal_with_other_pcrs_drops_earlier_keys(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0], lifetime=12)
    found.until(lambda: found.held)
    azure.extend_pcr(13)
    found.until(lambda: found.count(HeldKey) == 2)
    assert [type(turn) for turn in found.seen] == [Attestation, HeldKey, Dropped, Attestation, HeldKey]
    assert found.dropped() == [(keys[0].kek_id, "pcr-drift")]


def test_a_tpm_that_cannot_be_read_twice_in_a_row_is_a_refusal(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0], check=0.2)
    found.until(lambda: found.held)
    azure.fault(Service.TPM, Kind.RETRY)
    found.custody.step()
    assert found.held
    found.custody.step()
    assert not found.held
    assert found.dropped() == [(keys[0].kek_id, "evidence")]
    azure.clear_faults()
    found.until(lambda: found.held)


def test_k10_a_throttled_release_keeps_its_attestation(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0])
    azure.fault(Service.VAULT, Kind.STATUS, status=429, seconds=1, times=1)
    found.until(lambda: found.count(Attestation))
    asked = time.monotonic()
    found.custody.step()
    assert found.refusal(keys[0]) is Reason.KEY_THROTTLED
    found.until(lambda: found.held)
    assert time.monotonic() - asked >= 1
    assert found.count(Attestation) == 1


def test_an_unverified_token_leads_to_one_more_attestation(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0])
    azure.fault(Service.MAA, Kind.STATUS, path="/.well-known/openid-configuration", times=1)  # the vault asks for it
    found.until(lambda: found.held)
    assert (found.count(Attestation), found.count(HeldKey), found.dropped()) == (2, 1, [])


def test_a_denial_after_an_outage_is_an_event_without_a_key(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    """The vault is away until the key has expired, and denies it once it is back: jobs that still run under it end."""
    (kek_id, found) = keys[0].kek_id, Stepped(tmp_path, azure, keys[0], lifetime=6)
    found.until(lambda: found.held)
    azure.fault(Service.VAULT, Kind.DOWN)
    found.until(lambda: found.dropped() and not found.held)
    azure.clear_faults()
    azure.fault(Service.VAULT, Kind.FORBIDDEN)
    found.until(lambda: NotReleased(kek_id=kek_id, cause="denied", reason=Reason.KEY_RELEASE_DENIED) in found.look())
    told = [each for each in found.look() if isinstance(each, Dropped | NotReleased)]
    assert [each.cause for each in told] == ["unavailable", "expired", "denied"]
    assert [each.ends_jobs for each in told] == [False, False, True]
    azure.clear_faults()
    found.until(lambda: found.held)
    azure.fault(Service.VAULT, Kind.DOWN)  # after a release it is news again
    found.until(lambda: found.count(NotReleased) == 3)


def test_cannot_be_verified_twice_in_a_row_is_a_denial(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]
) -> None:
    found = Stepped(tmp_path, azure, keys[0], lifetime=12)
    found.until(lambda: found.held)
    azure.fault(Service.MAA, Kind.STATUS, path="/.well-known/openid-configuration")
    found.until(found.dropped)
    assert found.dropped() == [(keys[0].kek_id, "revoked")]
    assert found.count(Attestation) == 3  # the first, the renewal, and one more for the key


def test_k13_two_versions_of_a_key_are_held_side_by_side(tmp_path: Path, azure: Simulation) -> None:
    old = azure.create_cmk("custody-rotated")
    new = azure.rotate_cmk("custody-rotated")
    third = azure.rotate_cmk("custody-rotated")
    found = Stepped(tmp_path, azure, old, new)
    found.until(lambda: found.held == {old.kek_id, new.kek_id})
    assert found.refusal(third) is Reason.UNKNOWN_KEY


def test_at_the_end_every_key_is_dropped(tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk]) -> None:
    found = Stepped(tmp_path, azure, *keys)
    found.until(lambda: len(found.held) == 2)
    assert [(turn.kek_id, turn.cause) for turn in found.custody.stop() if isinstance(turn, Dropped)] == [
        (cmk.kek_id, "stopped") for cmk in keys
    ]
    assert not found.held


def test_k10_all_workers_behind_a_throttling_vault_become_ready(tmp_path: Path) -> None:
    workers = 8
    with simulated(tmp_path / "sim", release_limit=4, report_period=0) as azure:
        cmk = azure.create_cmk("shared")  # one of the four
        fleet = [Stepped(tmp_path / f"w{i}", azure.another_vm(), cmk) for i in range(workers)]
        threads = [
            threading.Thread(target=one.until, args=(lambda one=one: one.held,), kwargs={"seconds": 100})
            for one in fleet
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - started
    assert all(one.held for one in fleet)
    assert [one.count(Attestation) for one in fleet] == [1] * workers
    print(f"{workers} workers ready after {took:.0f} s")


def test_each_attestation_compares_the_clock_with_the_tpms(
    tmp_path: Path, azure: Simulation, keys: tuple[Cmk, Cmk], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Stepped(tmp_path, azure, keys[0])
    held = []
    for set_by in (0.0, 7200.0, 0.0):
        clock = SimpleNamespace(monotonic=time.monotonic, time=lambda by=set_by: time.time() + by)
        monkeypatch.setattr("cji_worker.keyholder.custody.time", clock)
        mine.custody._attest()
        assert mine.custody.holdings.evidence() is not None
        held.append(mine.tpm_clock.held)
    assert held == [True, False, True]
