"""Tests of a program that sends jobs, in a repository that has nothing of cji-worker but its wheels."""

import pyarrow as pa
import pytest

from cji_client import WorkerRefused, connect
from cji_simulator import Kind, Service

PEOPLE = pa.table({"record_id": ["1", "2"], "last": ["DOE", "DOE"], "first": ["JANE", "JAYNE"]})
SPEC = {"input": {"schema": "person/1"}, "operations": [{"kind": "link"}]}


def test_a_table_comes_back_with_clusters(client_profile, simulation):
    with connect(client_profile, trusts=[simulation.trust]) as worker, worker.run(PEOPLE, SPEC) as result:
        assert result.table().num_rows == 2


def test_nothing_is_sent_to_a_machine_that_cannot_prove_itself(client_profile, simulation):
    simulation.fault(Service.TPM, Kind.NOT_CONFIDENTIAL)
    worker = connect(client_profile, trusts=[simulation.trust])
    with worker, pytest.raises(WorkerRefused, match="ATTESTATION_REJECTED"):
        worker.attest()
