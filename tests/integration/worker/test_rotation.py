"""A confined worker rotates its trail while it serves, and starts on the segments again."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cji_attestation.evidence.tpm_counter import NvCounter
from cji_client.profile import load_profile
from cji_core.format.configuration.worker import load
from cji_core.trail import FileDigests, FilesReloaded
from cji_core.trail.rules import State, Watcher
from cji_core.trail.trail import verified
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawWorker, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from cji_worker.keyholder.anchor import anchor_again
from cji_worker.trail.file import AuditFile

LEAST = 1 << 20
DIGESTS = FileDigests(policy_file="01" * 48, client_roots="02" * 48)
LONG = FilesReloaded(by="signal", uid=0, before=DIGESTS, after=DIGESTS, policy_signers=("A" * 43,) * 1500)


def segments(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob(f"{path.name}.[1-9]*-*"))


def test_a_worker_rotates_at_its_first_checkpoint_and_goes_on(azure: Simulation, tmp_path: Path) -> None:
    azure, folder = azure.another_vm(), tmp_path / "worker"
    cmk = azure.create_cmk("cji-rotation")
    files = worker_config(folder, simulation=azure, keys=[cmk])
    files.config.write_text(f"audit_segment_bytes = {LEAST}\n{files.config.read_text()}")
    config = load(files.config)
    with AuditFile(files.audit, worker=config.worker.id, clock=lambda: datetime.now(UTC)) as audit:
        audit.begin()
        anchor_again(audit, partial(NvCounter, azure.trust.tcti, config.audit_counter))
        begun = audit.head.seq
        while (audit.head.seq - begun) * len(LONG.policy_signers) * 46 < LEAST:
            audit.append(LONG)
        filled = audit.head.seq
    with Worker(files.config, trust=azure.trust, log=folder / "worker.log") as running:
        until(lambda: segments(files.audit) or None)
        site = Site(simulation=azure, cmk=cmk, files=files, worker=running, profile=load_profile(files.profile))
        with RawWorker.of(site) as raw:
            job = forge(site)
            assert raw.run(job.messages(job.stream(people(2)))).receipt is not None
    (closed,) = segments(files.audit)
    last = int(closed.rpartition("-")[2])
    assert last > filled
    watcher, kinds = Watcher(state=State()), list[str]()  # the first lines are of no start
    for line, record in verified(files.audit):
        watcher.take(line, record)
        kinds.append(record.event.kind)
    assert kinds[last - 1] == "trail_checkpoint"
    assert {"job_completed", "worker_stopped"} <= set(kinds[last:])
