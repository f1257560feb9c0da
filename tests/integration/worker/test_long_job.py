"""A job that outlives tokens, and the worker that ran it, keeps its result.

Red before: the client attested again after the job, met a later token or nobody, and threw the verified result away.
"""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from cji_client.result_folder import load_result
from cji_client.seal import INPUT_NAME
from cji_client.verify import names_token
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site, people


def test_a_job_over_two_renewals_and_a_drain_keeps_its_result(azure: Simulation, tmp_path: Path) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def records() -> Iterator[pa.RecordBatch]:
        yield from people(100).to_batches()
        begun.set()
        assert goes_on.wait(60)
        yield from people(100).to_batches()

    with open_site(tmp_path / "site", azure) as site, site.client() as client, ThreadPoolExecutor(1) as pool:
        attested = client.attest()
        job = site.seal()
        running = pool.submit(client.run, job, {INPUT_NAME: records()}, attested=attested, deadline=120)
        assert begun.wait(60)
        for _ in range(2):
            assert [each["event"] for each in site.renew()][-1] == "released"
        site.worker.process.send_signal(signal.SIGTERM)
        goes_on.set()
        with running.result(90) as result:
            assert site.open(result)["result"].num_rows == 200
            assert result.attested.receipt_jwk == attested.receipt_jwk
            assert result.receipt.claims.maa_token_sha384 != attested.maa_token_sha384
            assert names_token(result.receipt, result.attested)  # the evidence came with it
            result.save(tmp_path / "result")
        reference, trust = site.profile.reference, azure.trust
        with load_result(tmp_path / "result", trust=trust, reference=reference, at=result.attested.attested_at) as kept:
            assert kept.receipt.compact == result.receipt.compact
