"""The same root with the tests' units in the initrd: one boot that serves a sealed job, gives nothing away, and drains.

The units look and attack from inside, and report. `make image-smoke` builds an image and makes this boot alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cji_attestation.release.policy import build
from cji_deploy.image.pcrs import pins
from cji_simulator import Simulation
from cji_simulator.machine.disks import with_uki
from cji_simulator.machine.guest import OUTSIDE, Guest
from cji_simulator.machine.quotes import quoted
from cji_simulator.ports import free_port
from cji_simulator.site import people
from tests.image.conftest import BOOT_S
from tests.support.guest_root import ORDINARY, SECRET
from tests.support.machine.built import Built
from tests.support.machine.simulated import ABSENT, Surroundings, surroundings
from tests.support.machine.units import uki_with_units
from tests.support.scheduled_events import NAME, MetadataService
from tests.support.wire_server import CONTAINER, ROLE, WireServer

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]
_UP = (
    *("cji-worker.service", "cji-door.service", "cji-door.socket", "cji-probe.service", "cji-drain.path"),
    *("cji-door-enroll.timer", "cji-bundle-update.timer", "nftables.service", "systemd-pcrphase.service"),
    *("cji-broker.service", "cji-broker.socket"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A boot with the tests' units: what ran inside says, before and after the drain, and the job from outside."""

    report: dict[str, Any]
    drained: dict[str, str]
    pcrs: dict[int, bytes]
    uki: Path
    rows: int
    provisioned: list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def served(built: Built, azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    uki = uki_with_units(built.uki, built.key, folder / "test.efi")
    disk = with_uki(built.raw, uki, folder / "test.raw")
    simulation = azure.machine_in_qemu()
    claims = pins(built.predicted(uki))
    cmk = simulation.create_cmk("cji-image", policy=_policy(simulation, claims))
    # and a key for an image with one other byte
    changed = bytearray(uki.read_bytes())
    changed[changed.index(b"roothash=") + 9] ^= 1
    (folder / "other.efi").write_bytes(changed)
    others = pins(built.predicted(folder / "other.efi"))
    other = simulation.create_cmk("cji-other", policy=_policy(simulation, others))
    with MetadataService(others=azure.endpoints.imds_url) as metadata, WireServer() as wire:
        around = surroundings(
            folder,
            simulation=simulation,
            cmk=cmk,
            other=other,
            port=free_port(),
            metadata=metadata,
            wire_port=wire.port,
        )
        with Guest(
            disk,
            variables=built.variables,
            tpm=simulation.machine.socket,
            folder=folder / "machine",
            port=around.port,
            simulation=around.disk,
        ) as guest:
            try:
                report = around.report(BOOT_S)
                rows = _job(around) if report["served"] else 0
                pcrs = quoted(simulation.machine.tcti)
                metadata.scheduled.announce("Terminate", NAME)
                drained = around.report(BOOT_S)
            except TimeoutError:
                raise AssertionError(guest.printed()[-4000:]) from None
    return Served(report=report, drained=drained, pcrs=pcrs, uki=uki, rows=rows, provisioned=wire.ready)


def _policy(simulation: Simulation, claims: dict[str, str]) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(build(simulation.maa_url, hardware=("snp",), pins=dict(claims)))
    return policy


def _job(around: Surroundings) -> int:
    """A sealed job through the door; the rows that come back."""
    from cji_client.profile import load_profile
    from cji_simulator.site import Submitter

    profile = load_profile(around.files.profile)
    cmk = around.simulation.cmk("cji-image")
    site = Submitter(simulation=around.simulation, cmk=cmk, files=around.files, profile=profile)
    result = site.run(people(100), deadline=300)
    return int(site.open(result)["row_status"].num_rows)


def test_the_vault_released_the_key_to_the_booted_image(served: Served) -> None:
    """Its policy has the PCRs that were predicted from the image; a worker without the key is not active."""
    assert served.report["served"], served.report["journal"][-6000:]


def test_the_vault_refuses_an_image_with_one_changed_byte(served: Served) -> None:
    """The same machine, in the same boot, attests well and does not get the key of an image whose PCR 4 is another."""
    refused = served.report["refused"]
    assert refused.get("attested"), refused
    assert (refused["released"], refused.get("fault")) == (False, "RELEASE_DENIED"), refused


def test_a_sealed_job_ran_inside(served: Served) -> None:
    assert served.rows == 100


def test_the_test_boot_measured_what_was_predicted(served: Served, built: Built) -> None:
    predicted = built.predicted(served.uki).pcrs()
    assert {pcr: served.pcrs[pcr].hex() for pcr in predicted} == {p: v.hex() for p, v in predicted.items()}


def test_the_units_are_up(served: Served) -> None:
    state = {one["unit"]: one["active"] for one in served.report["units"]}
    assert {unit: state.get(unit) for unit in _UP} == dict.fromkeys(_UP, "active")
    assert [unit for unit, active in state.items() if active == "failed"] == []


def test_the_probe_answers_that_the_worker_is_ready(served: Served) -> None:
    assert served.report["ready"] == "HTTP/1.1 200 OK"


def test_the_notice_of_its_end_drains_the_machine(served: Served) -> None:
    """Azure announces that it deletes the machine; the probe's file starts the drain. Nothing else of this stops."""
    found = {name: value for name, value in served.drained.items() if name != "journal"}
    assert found == {
        "cji-drain.path": "active",
        "cji-drain.service": "active",
        "cji-worker.service": "inactive",
        "cji-probe.service": "active",
        "cji-door.service": "active",
        "ready": "HTTP/1.1 503 Service Unavailable",
    }, served.drained["journal"]


def test_the_certificate_is_looked_at_again(served: Served) -> None:
    """The timer waits for its next time, and would start the unit of this name."""
    timer = dict(line.split("=", 1) for line in served.report["timers"].splitlines())
    assert (timer["SubState"], timer["Unit"]) == ("waiting", "cji-door-enroll.service")
    assert timer["NextElapseUSecMonotonic"] not in {"", "0", "infinity"}


def test_the_kernel_has_the_rules_of_the_file(served: Served) -> None:
    """But for those by which the machine outside stands for the private network and the metadata service."""
    rules = served.report["rules"]
    assert isinstance(rules, dict), rules
    file = rules["file"].splitlines()
    assert "table inet cji {" in file, rules["error"]
    assert [line for line in rules["loaded"].splitlines() if OUTSIDE not in line and "sport 80" not in line] == file


def test_the_metadata_service_answers_the_broker_alone(served: Served) -> None:
    """Each user of the image tries, root and those that exist nowhere else included."""
    found = served.report["metadata"]
    assert isinstance(found, dict), found
    assert found.pop("cji-broker") == "HTTP/1.0 200 OK"
    assert {"root", "cji", "cji-door", "cji-audit", "cji-fleet", "cji-console", "cji-probe"} < set(found)
    assert {name: answer for name, answer in found.items() if answer != "TimeoutError"} == {}


def test_azure_heard_that_the_machine_is_provisioned(served: Served) -> None:
    assert served.provisioned == [(CONTAINER, ROLE, "1")], served.report["journal"][-6000:]


def test_the_wire_server_answers_one_process_alone(served: Served) -> None:
    found = served.report["wire server"]
    assert isinstance(found, dict), found
    assert found.pop("cji-provisioned") == "HTTP/1.0 200 OK"
    assert {"root", "cji", "cji-broker", "cji-probe"} < set(found)
    assert {name: answer for name, answer in found.items() if answer != "TimeoutError"} == {}


def test_another_start_in_this_boot_is_known_to_be_in_vain(served: Served) -> None:
    found = served.report["futile"]
    assert isinstance(found, dict), found
    del found["ms"]  # of an emulated processor
    assert found == {"status": 0, "without the value": 1, "without a TPM": 1}


def test_the_broker_serves_each_user_its_own(served: Served) -> None:
    """The keyholder's user gets a token of the vault, and no other user of the image does."""
    found = served.report["brokered"]
    assert isinstance(found, dict), found
    assert {name for name, answer in found.items() if answer == "200"} == {"root", "cji"}, found
    assert {answer for name, answer in found.items() if name not in {"root", "cji"}} == {"403"}, found


def test_doctor_finds_nothing_but_the_simulation(served: Served) -> None:
    found = served.report["doctor"]
    assert isinstance(found, list), found
    bad = [one for one in found if one["state"] in {"failed", "not run"}]
    assert bad == []


def test_root_inside_reads_and_loads_nothing(served: Served) -> None:
    attacks = served.report["attacks"]
    denied = ("bpf", "perf_event_open", "init_module", "finit_module", "kexec_load", "kexec_file_load", "ptrace")
    assert {name: attacks[name] for name in (*denied, "process_vm_readv")} == dict.fromkeys(
        (*denied, "process_vm_readv"), "EPERM"
    )
    assert attacks["/dev/mem"] != "done"
    assert attacks["/proc/kcore"] != "done"
    outcomes = served.report["root"]
    assert isinstance(outcomes, dict), outcomes
    values = {name: value for name, value in outcomes.items() if isinstance(value, str)}
    assert not {SECRET, ORDINARY, "attached", "written"} & set(values.values()), values
    assert "Seccomp:\t2" in served.report["pid1"]
    assert "[confidentiality]" in served.report["lockdown"]


def test_root_inside_cannot_change_what_runs(served: Served) -> None:
    writes = served.report["writes"]
    assert {path: writes[path] for path in ("/usr/lib/cji/new", "/opt/cji/new", "/etc/new")} == dict.fromkeys(
        ("/usr/lib/cji/new", "/opt/cji/new", "/etc/new"), "EROFS"
    )
    assert writes["execution of state"] == "EACCES"


def test_the_image_has_no_shell_no_package_manager_no_agent(served: Served) -> None:
    assert served.report["shells"] == []
    assert len(ABSENT) > 10
    shells = {line.rpartition(":")[2] for line in served.report["passwd"].splitlines()}
    assert shells == {"/usr/sbin/nologin"}
    assert len(served.report["swaps"].splitlines()) == 1


def test_the_image_has_no_simulator(served: Served) -> None:
    assert served.report["simulator"] == "[None, None, None]"


def test_the_mounts_are_closed(served: Served) -> None:
    mounts = {line.split()[1]: line.split()[2:4] for line in served.report["mounts"].splitlines()}
    kind, options = mounts["/"]
    assert kind == "erofs"
    assert "ro" in options.split(",")
    for place in ("/var", "/tmp", "/var/lib"):
        assert {"nosuid", "nodev", "noexec"} <= set(mounts[place][1].split(",")), place
    assert mounts["/var/lib"][0] == "ext4"
