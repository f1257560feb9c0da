"""The metrics, one row each. Prometheus and collectors get what is made from this table.

Contract and invariants
* A label has a closed set of values, which stands in its row. `read` raises ValueError for any other value, so nothing
  that a job, a caller or a file states can become one, and the number of series is the product of the sets.
* A number is a count, an amount, a time or a state of the worker as a whole. There is none of a single job.
* Counters begin at zero when the worker starts. What is not known has no sample.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from cji_core.manifest import VERSION
from cji_worker.console import samples as read
from cji_worker.console.expiry import SUBJECTS, left
from cji_worker.console.machine import UNITS
from cji_worker.console.samples import Labels, Sample
from cji_worker.console.view import OPERATIONS, SILENCES, View, moment
from cji_worker.fleet.metrics import OUTCOMES
from cji_worker.host import CATALOGUE
from cji_worker.ipc.messages import SUPERVISOR_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric. A counter's name has no `_total` here; `unit` is UCUM's (OpenTelemetry's semantic conventions).

    `one_of`: at most one of its labels is 1, and all others are 0.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    samples: Callable[[View], Iterable[Sample]]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unit: str = "1"
    one_of: bool = False

    def read(self, view: View) -> Iterator[Sample]:
        """Its samples in a view. Raises ValueError for a label outside its set, or for two samples of one label."""
        allowed, seen = set(product(*self.labels.values())), set[Labels]()
        for labels, value in self.samples(view):
            if labels not in allowed or labels in seen:
                raise ValueError(f"a label of {self.name}")
            seen.add(labels)
            yield labels, value

    @property
    def most_samples(self) -> int:
        """The number of samples that it can have."""
        return len(list(product(*self.labels.values())))


SERIES: Final = (
    Series(
        name="cji_build_info",
        kind="gauge",
        help="1; the console's version",
        labels={"version": (VERSION,)},
        samples=lambda _: [((VERSION,), 1.0)],
        one_of=True,
    ),
    Series(
        name="cji_worker_up",
        kind="gauge",
        help="1 if the worker answers",
        samples=lambda view: read.one(view.status is not None),
    ),
    Series(
        name="cji_worker_silence",
        kind="gauge",
        help="1 for the reason why the worker does not answer",
        labels={"cause": SILENCES},
        samples=read.silence,
        one_of=True,
    ),
    Series(
        name="cji_worker_state",
        kind="gauge",
        help="1 for the state of the worker; unknown if it does not answer",
        labels={"state": read.STATES},
        samples=read.state,
        one_of=True,
    ),
    Series(
        name="cji_worker_serving",
        kind="gauge",
        help="1 if jobs are served; 0 also if the worker does not answer",
        samples=lambda view: read.one(view.status is not None and view.status.state == "serving"),
    ),
    Series(
        name="cji_worker_start_time_seconds",
        kind="gauge",
        help="Start of the worker, seconds since 1970",
        unit="s",
        samples=read.of_status(lambda status: read.one(moment(status.started).timestamp())),
    ),
    Series(
        name="cji_machine_start_time_seconds",
        kind="gauge",
        help="Start of the machine, seconds since 1970",
        unit="s",
        samples=lambda view: read.one(view.machine.started),
    ),
    Series(
        name="cji_unit_restarts",
        kind="counter",
        help="Starts of a unit of the machine after the first one that the console saw",
        labels={"unit": UNITS},
        unit="{start}",
        samples=lambda view: (((unit,), float(count)) for unit, count in view.machine.restarts.items()),
    ),
    Series(
        name="cji_not_ready",
        kind="gauge",
        help="1 for the Reason for which no job is admitted",
        labels={"reason": read.REASONS},
        samples=read.of_status(read.not_ready),
        one_of=True,
    ),
    Series(
        name="cji_not_ready_condition",
        kind="gauge",
        help="1 for the condition because of which no job is admitted",
        labels={"condition": read.CONDITIONS},
        samples=read.of_status(read.unmet),
        one_of=True,
    ),
    Series(
        name="cji_host_condition_held",
        kind="gauge",
        help="1 if the condition of the machine holds",
        labels={"condition": tuple(CATALOGUE)},
        samples=read.of_status(lambda status: (((each.condition,), float(each.held)) for each in status.host)),
    ),
    Series(
        name="cji_process_silence_seconds",
        kind="gauge",
        help="Time since the last heartbeat of a process",
        labels={"process": tuple(SUPERVISOR_FROM)},
        unit="s",
        samples=read.of_status(read.silent),
    ),
    Series(
        name="cji_expiry_seconds",
        kind="gauge",
        help="Time until it expires, negative afterwards: the first of several",
        labels={"subject": SUBJECTS},
        unit="s",
        samples=lambda view: (((each.of.subject,), each.seconds) for each in left(view)),
    ),
    Series(
        name="cji_keys",
        kind="gauge",
        help="Keys that may be used now, and those that are configured",
        labels={"state": ("usable", "configured")},
        unit="{key}",
        samples=read.of_status(read.keys),
    ),
    Series(
        name="cji_cells",
        kind="gauge",
        help="Cells by state",
        labels={"state": ("warm", "busy", "configured")},
        unit="{cell}",
        samples=read.of_status(read.cells),
    ),
    Series(
        name="cji_jobs_waiting",
        kind="gauge",
        help="Jobs that wait for a cell",
        unit="{job}",
        samples=read.of_status(lambda status: read.one(status.jobs_waiting)),
    ),
    Series(
        name="cji_jobs",
        kind="counter",
        help="Jobs with a receipt (completed) and without (ended)",
        labels={"operation": OPERATIONS, "outcome": ("completed", "ended")},
        unit="{job}",
        samples=read.of_jobs(read.jobs),
    ),
    Series(
        name="cji_job_ends",
        kind="counter",
        help="Admitted jobs that ended without a receipt, by Reason",
        labels={"reason": read.REASONS},
        unit="{job}",
        samples=read.of_jobs(read.by_reason("ended")),
    ),
    Series(
        name="cji_refusals",
        kind="counter",
        help="Jobs and calls that were refused, by Reason",
        labels={"reason": read.REASONS},
        unit="{call}",
        samples=read.of_jobs(read.by_reason("refused")),
    ),
    Series(
        name="cji_job_duration_seconds",
        kind="histogram",
        help="Duration of completed jobs, from admission to receipt",
        labels={"operation": OPERATIONS},
        unit="s",
        samples=read.of_jobs(read.durations),
    ),
    Series(
        name="cji_rows",
        kind="counter",
        help="Rows of completed jobs, stated by their cells",
        labels={"direction": ("in", "out")},
        unit="{row}",
        samples=read.of_jobs(lambda jobs: [(("in",), float(jobs.rows_in)), (("out",), float(jobs.rows_out))]),
    ),
    Series(
        name="cji_bytes",
        kind="counter",
        help="Ciphertext bytes of completed jobs",
        labels={"direction": ("in", "out")},
        unit="By",
        samples=read.of_jobs(lambda jobs: [(("in",), float(jobs.bytes_in)), (("out",), float(jobs.bytes_out))]),
    ),
    Series(
        name="cji_audit_writable",
        kind="gauge",
        help="1 if the audit trail can be written",
        samples=read.of_status(lambda status: read.one(status.audit.writable if status.audit else None)),
    ),
    Series(
        name="cji_audit_lines",
        kind="gauge",
        help="Lines in the audit trail",
        unit="{line}",
        samples=read.of_status(lambda status: read.one(status.audit.line if status.audit else None)),
    ),
    Series(
        name="cji_audit_undelivered_lines",
        kind="gauge",
        help="Lines that the sink furthest behind, or the log, does not have",
        labels={"kind": read.KINDS},
        unit="{line}",
        samples=read.undelivered,
    ),
    Series(
        name="cji_audit_delivery_stalled_seconds",
        kind="gauge",
        help="Time for which a sink or the log has made no progress while lines wait",
        labels={"kind": read.KINDS},
        unit="s",
        samples=read.stalled,
    ),
    Series(
        name="cji_audit_required_waits_seconds",
        kind="gauge",
        help="Time for which the oldest line waits for a required destination of the trail",
        unit="s",
        samples=read.of_status(read.required_waits),
    ),
    Series(
        name="cji_audit_required_overdue",
        kind="gauge",
        help="Required destinations of the trail that are overdue",
        unit="{destination}",
        samples=read.of_status(read.required_overdue),
    ),
    Series(
        name="cji_audit_disk_bytes",
        kind="gauge",
        help="Size of the disk of the trail, and what is free of it",
        labels={"part": ("free", "size")},
        unit="By",
        samples=lambda view: read.disk(view.machine),
    ),
    Series(
        name="cji_client_certificates_revoked",
        kind="gauge",
        help="Client certificates on the revocation lists",
        unit="{certificate}",
        samples=read.of_status(lambda status: read.one(status.clients.revoked if status.clients else None)),
    ),
    Series(
        name="cji_reload_refused",
        kind="gauge",
        help="1 if the last reload was refused",
        samples=read.of_status(lambda status: read.one(status.reload.fault is not None)),
    ),
    Series(
        name="cji_fleet_tickets",
        kind="gauge",
        help="About how many tickets are on the queue and on the poison queue",
        labels={"queue": ("jobs", "poison")},
        unit="{ticket}",
        samples=read.of_fleet(
            lambda fleet: [(("jobs",), float(fleet.queue_length)), (("poison",), float(fleet.poison_length))]
        ),
    ),
    Series(
        name="cji_fleet_oldest_ticket_seconds",
        kind="gauge",
        help="Age of the oldest ticket that no worker has",
        unit="s",
        samples=read.of_fleet(lambda fleet: read.one(fleet.oldest_seconds)),
    ),
    Series(
        name="cji_fleet_tickets_taken",
        kind="counter",
        help="Tickets that this machine took, by what became of them",
        labels={"outcome": OUTCOMES},
        unit="{ticket}",
        samples=read.of_fleet(lambda fleet: [((each,), float(fleet.outcomes.get(each, 0))) for each in OUTCOMES]),
    ),
    Series(
        name="cji_spans_dropped",
        kind="counter",
        help="Spans that no collector took in time",
        unit="{span}",
        samples=lambda view: read.one(view.own.spans_dropped),
    ),
    Series(
        name="cji_export_failures",
        kind="counter",
        help="Exports that the collector did not take",
        unit="{export}",
        samples=lambda view: read.one(view.own.export_failures),
    ),
    Series(
        name="cji_trail_faults",
        kind="counter",
        help="Places where the trail could not be followed",
        unit="{fault}",
        samples=lambda view: read.one(view.own.trail_faults),
    ),
)
