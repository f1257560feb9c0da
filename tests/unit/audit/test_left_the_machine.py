"""What `cji audit delivered` waits for before a machine is deleted with its trail: the last signature too."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cji_core.trail import read
from cji_core.trail.delivered import write_position
from cji_core.trail.trail import START, after
from cji_core.trail.worker_events import TrailCheckpoint, WorkerStopped
from cji_worker.verbs.audit.delivered import waiting
from tests.support.rotated import OLD
from tests.support.trails import Writer


def test_a_sink_has_the_last_checkpoint_as_well(tmp_path: Path) -> None:
    """Without it, nobody can verify the sink's last lines. The log has it if it has the lines before it."""
    writer = Writer(now=OLD)
    writer.start()
    writer.job(1)
    writer.stop()
    section = SimpleNamespace(state=str(tmp_path), required=("sentinel", "log"))
    config: Any = SimpleNamespace(audit_file=str(tmp_path / "audit.log"), audit_delivery=section)
    assert waiting(config) == ["sentinel", "log"]  # a trail that is gone was not delivered
    path = writer.write(tmp_path / "audit.log")
    places = [position for position, _ in after(path, START)]
    kinds = [type(read(line).event) for line in writer.lines]
    stopped = kinds.index(WorkerStopped)
    assert TrailCheckpoint in kinds[stopped:]
    for name in section.required:
        write_position(tmp_path, name, places[stopped])
    assert waiting(config) == ["sentinel"]
    write_position(tmp_path, "sentinel", places[-1])
    assert waiting(config) == []
