"""A worker whose policy grants a statement on column keys, and jobs with its columns, driven message by message."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from cji_client.parts import open_part, seal_stream
from cji_client.profile import load_profile
from cji_client.received import parse_result_header
from cji_client.seal import SealedJob
from cji_client.spec import InputSpec
from cji_core.format.columns import ColumnKeys, column_keys_message
from cji_core.format.envelope import input_aad, output_aad, sign_header, signer_thumbprint, unwrap_result_key
from cji_core.format.job import SealedOutput, parse
from cji_core.format.keys import load_signing_key
from cji_core.jose import public_jwk
from cji_core.operations.parameters import Parameters
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site
from cji_simulator.stepwise import Stepwise
from cji_simulator.worker import Worker
from tests.support.column_jobs import Statement, Table
from tests.support.column_keys import agency_key

ORI = "GA0600000"


@dataclass(frozen=True, kw_only=True)
class ColumnSite:
    """The worker, the statement that it was granted, and the keys sealed with it."""

    site: Site
    statement: Statement
    keys: ColumnKeys

    def job(
        self, tables: Sequence[Table], operation: Parameters, *, outputs: Sequence[SealedOutput] = ()
    ) -> tuple[SealedJob, list[list[bytes]]]:
        """A signed job with these tables, the records last, and the segments of its parts."""
        sides = {table.name: InputSpec(schema=table.schema) for table in tables[:-1]}
        given = InputSpec(schema=tables[-1].schema)
        made = self.site.seal(self.site.spec(operation, sides=sides, input=given, size_class="power_of_two"))
        header = pb.JobHeader.FromString(made.header.data)
        for part, table in zip(header.inputs, tables, strict=True):
            part.sealed_columns[:] = sorted(table.sealed)
            part.shards = len(table.cuts) + 1 if table.cuts else 0
        header.column_keys.append(column_keys_message(self.keys))
        for each in outputs:
            header.sealed_outputs.add(output=each.output, column=each.column, as_column=each.as_column)
        data = header.SerializeToString(deterministic=True)
        key = load_signing_key(Path(self.site.profile.signing_key))
        job = replace(made, header=parse(data), signature=sign_header(key, data, Suite.CLASSICAL_1))
        streams = [stream for table in tables for stream in table.streams([self.statement])]
        parts = [
            list(seal_stream(job._dek, input_aad(job.header.sha384, part), each)) for part, each in enumerate(streams)
        ]
        return job, parts

    def run(
        self, tables: Sequence[Table], operation: Parameters, *, outputs: Sequence[SealedOutput] = ()
    ) -> dict[str, pa.Table]:
        """The opened outputs of a job. Raises grpc.RpcError for one that the worker refuses."""
        return self.run_job(*self.job(tables, operation, outputs=outputs))

    def run_job(self, job: SealedJob, parts: Sequence[Sequence[bytes]]) -> dict[str, pa.Table]:
        """The same, of a job that is made."""
        with Stepwise(self.site, job, []) as call:
            send(call, parts)
            call.read_all()
            assert call.receipt
            header = parse_result_header(call.result_header or b"", job.header)
            (wrapped,) = header.wrapped.values()
            key = unwrap_result_key(self.site.recipient, wrapped, job.header.sha384)
            return {
                output.name: pa.Table.from_batches(
                    open_part(
                        key,
                        output_aad(header.sha384, at),
                        io.BytesIO(b"".join(call.output(at))),
                        name="o",
                        padded=header.padded,
                    )
                )
                for at, output in enumerate(header.outputs)
            }


def send(call: Stepwise, parts: Sequence[Sequence[bytes]]) -> None:
    """All segments of all parts, and the end."""
    for part, segments in enumerate(parts):
        for index, data in enumerate(segments):
            call._orders.put(pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data)))
    call.finish()


@contextmanager
def column_site(folder: Path, azure: Simulation, statement: Statement, **changes: object) -> Iterator[ColumnSite]:
    """A worker of this simulation under a policy that grants the statement, or one with changes, to its submitter."""
    cmk = azure.create_cmk(f"cji-{folder.name}")
    files = worker_config(folder, simulation=azure, keys=[cmk])
    profile, now = load_profile(files.profile), datetime.now(UTC).replace(microsecond=0)
    signing = load_signing_key(Path(profile.signing_key)).public_key()
    kek = Site(simulation=azure, cmk=cmk, files=files, worker=None, profile=profile).kek  # type: ignore[arg-type]
    keys = statement.sealed(
        wrapping=kek.wrapping,
        kek_id=cmk.kek_id,
        originating_ori=ORI,
        submitters=[signer_thumbprint(signing, Suite.CLASSICAL_1)],
        created=now - timedelta(hours=1),
        not_after=now + timedelta(days=2),
        **changes,
    )
    granted = (
        f"statements = [\"{keys.statement.sha384.hex()}\"]\nsigning_key = '{public_jwk(agency_key().public_key())}'\n"
    )
    with files.policy.open("a") as policy:
        policy.write(f"\n[submitters.agencies.sealed_columns]\n{granted}")
    with Worker(files.config, trust=azure.trust, log=files.folder / "worker.log") as worker:
        site = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=profile)
        yield ColumnSite(site=site, statement=statement, keys=keys)
