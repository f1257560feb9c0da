"""`connect`: one way from records to results, on a worker that attests itself on a simulated machine."""

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec
import pandas
import polars
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from opentelemetry.trace import get_tracer

from cji_attestation.evidence_file import decode_evidence
from cji_client.asynchronous import connect_async
from cji_client.cancellation import Cancellation
from cji_client.connection import Connection, connect
from cji_client.errors import (
    ColumnError,
    ColumnTypeError,
    JobCancelled,
    LimitExceeded,
    MissingRule,
    NotFinished,
    SpecError,
    Unreachable,
    Unverified,
)
from cji_client.job_folder import load_job, save_job
from cji_client.job_state import State
from cji_client.profile import EvidenceSection
from cji_client.progress import Phase, Progress
from cji_client.release import Release
from cji_client.result_folder import load_result, read_result_folder
from cji_client.signers import KeyDecrypter, KeySigner
from cji_client.standing import Sent
from cji_core.format.keys import new_recipient_key, new_signing_key, save_private_key
from cji_core.jose import key_id, public_jwk
from cji_simulator import Simulation
from tests.support.answers import Answers, serving
from tests.support.job_specs import head
from tests.support.paths import ROOT
from tests.support.private_files import put_private
from tests.support.reviews import decided_toml
from tests.support.sdk_server import Certificates, ReferenceWorker, served
from tests.support.spans import recorded
from tests.support.tsa_forge import tsa

PEOPLE = {
    "record_id": ["007", "008", "009"],
    "last": ["neumann", "painter", "neumann"],
    "first": ["michaela", "courtney", None],
    "DOB": ["19151111", "", "19161011"],
}
SPEC = """
[input]
schema = "person/1"

[[operations]]
kind = "deidentify"

[operations.columns]
record_id = "keep"
last = { do = "mask", keep_first = 1 }
first = "drop"
DOB = { do = "date_to", unit = "year" }
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    folder: Path
    simulation: Simulation
    worker: ReferenceWorker
    signing: ec.EllipticCurvePrivateKey
    recipient: rsa.RSAPrivateKey

    def connect(self, **arguments: object) -> Connection:
        return connect(self.folder / "client.toml", trusts=[self.simulation.trust], **arguments)  # type: ignore[arg-type]

    @property
    def spec(self) -> Path:
        return self.folder / "job.toml"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, simulation_servers: Simulation) -> Iterator[Desk]:
    simulation = simulation_servers
    folder, tls, signing, recipient = (
        tmp_path_factory.mktemp("desk"),
        Certificates.make(),
        new_signing_key(),
        new_recipient_key(),
    )
    worker = ReferenceWorker(cmk=new_recipient_key(), submitter=signing.public_key())
    worker.attest(simulation)
    save_private_key(signing, folder / "signing.key", passphrase=None)
    save_private_key(recipient, folder / "recipient.key", passphrase=None)
    (folder / "recipient.key.jwk").write_text(public_jwk(recipient.public_key()))
    for name, pem in (("ca", tls.client.ca_pem), ("client", tls.client.cert_pem), ("client-key", tls.client.key_pem)):
        put_private(folder / f"{name}.pem", pem)
    (folder / "job.toml").write_text(
        head(recipient="recipient.key.jwk", kek_thumbprint=key_id(worker.cmk.public_key())) + SPEC
    )
    with served(worker, tls) as target:
        (folder / "client.toml").write_text(
            f'target = "{target}"\ncloud = "simulation"\nmaa_url = "{simulation.maa_url}"\n'
            'ca = "ca.pem"\ncertificate = "client.pem"\nprivate_key = "client-key.pem"\n'
            'signing_key = "signing.key"\nrecipient_key = "recipient.key"\n[reference]\nproducts = ["Genoa"]\n'
            + decided_toml(simulation.reference)
        )
        yield Desk(folder=folder, simulation=simulation, worker=worker, signing=signing, recipient=recipient)


def csv_of(folder: Path) -> Path:
    path = folder / "people.csv"
    polars.DataFrame(PEOPLE).write_csv(path)
    return path


def test_every_kind_of_records_gives_the_same_result(desk: Desk, tmp_path: Path) -> None:
    table = pa.table(PEOPLE)
    kinds = (
        pandas.DataFrame(PEOPLE),
        polars.DataFrame(PEOPLE),
        table,
        iter(table.to_batches()),
        csv_of(tmp_path),
        str(csv_of(tmp_path)),
    )
    events = list[Progress]()
    with desk.connect() as worker:
        for records in kinds:
            with worker.run(records, desk.spec, progress=events.append) as result:
                frame = result.pandas()
                assert list(frame["record_id"]) == PEOPLE["record_id"]
                assert list(frame["last"]) == ["n******", "p******", "n******"]
                assert result.polars("row_status").height == 3
                assert polars.DataFrame(result)["last"].to_list() == list(frame["last"])
                assert result.receipt.claims.volumes.rows_in == 3
    assert Progress(phase=Phase.RUNNING, stage="rows", per_cent=50) in events
    assert {event.phase for event in events} == set(Phase) - {Phase.WAITING}


def test_a_submitted_job_is_a_handle(desk: Desk) -> None:
    with desk.connect() as worker:
        job = worker.submit(pa.table(PEOPLE), desk.spec)
        assert job.wait(60).state is State.DONE
        with job.result() as result:
            assert result.sealed.job_id.hex() == job.id
            assert result.table()["DOB"].to_pylist() == ["1915", None, "1916"]
            assert job.result() is result
            shown = "".join(each._repr_html_() for each in (worker, job, result))
        job.cancel()
        assert job.status().state is State.DONE
        with pytest.raises(ColumnError):  # at once
            worker.submit(pa.table({"colour": ["red"]}), desk.spec)
    assert job.id in shown
    assert not any(name in shown for name in ("neumann", "painter", "michaela", "courtney", "n******"))


@dataclass(frozen=True, kw_only=True)
class Halted:
    """Records that come to an end when they are let go; `begun` when the worker has the first of them."""

    begun: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def batches(self) -> Iterator[pa.RecordBatch]:
        (batch,) = pa.table(PEOPLE).to_batches()
        yield batch
        self.begun.set()
        self.let_go.wait(60)
        yield batch


def test_a_submitted_job_ends_when_it_is_cancelled(desk: Desk) -> None:
    records = Halted()
    with desk.connect() as worker:
        job = worker.submit(records.batches(), desk.spec)
        assert records.begun.wait(60)
        assert job.status().state is State.RUNNING
        with pytest.raises(NotFinished):
            job.result(0.01)
        job.cancel()
        assert job.status().state is State.CANCELLING
        records.let_go.set()
        assert job.wait(60).state is State.FAILED
        with pytest.raises(JobCancelled):
            job.result()


def test_a_submitted_job_is_lost_with_its_connection(desk: Desk) -> None:
    """Nobody can be asked any more whether the worker ended it: that is not said of it."""
    records = Halted()
    with desk.connect() as worker:
        job = worker.submit(records.batches(), desk.spec)
        assert records.begun.wait(60)
    records.let_go.set()
    found = job.wait(60)
    assert (found.state, found.state.outcome) == (State.LOST, Release.UNKNOWN)
    with pytest.raises(Unreachable, match="Channel closed") as caught:
        job.result()
    assert f"Job {job.id}: sent, no receipt." in caught.value.remedy


def test_a_side_table_needs_no_file(desk: Desk) -> None:
    fields = msgspec.toml.decode(desk.spec.read_text())
    fields["recipients"] = [public_jwk(desk.recipient.public_key())]
    fields |= {"operations": [{"kind": "link"}], "sides": {"link_to": {"schema": "person/1"}}}
    with desk.connect() as worker:
        prepared = worker.prepare(pa.table(PEOPLE), fields, sides={"link_to": pandas.DataFrame(PEOPLE)})
        assert prepared.columns["link_to"] == prepared.columns["records"]
        with pytest.raises(SpecError, match="link_to has no records"):
            worker.prepare(pa.table(PEOPLE), fields)
        with pytest.raises(SpecError, match="no side table other") as caught:
            worker.prepare(pa.table(PEOPLE), fields, sides={"other": pa.table(PEOPLE)})
    assert "link_to" in caught.value.remedy


async def test_a_program_with_an_event_loop(desk: Desk) -> None:
    fields = msgspec.toml.decode(desk.spec.read_text())
    fields["recipients"] = [public_jwk(desk.recipient.public_key())]
    async with connect_async(desk.folder / "client.toml", trusts=[desk.simulation.trust]) as worker:
        assert (await worker.describe()).audience == "pool"
        with await worker.run(pa.table(PEOPLE), fields) as result:
            assert result.table()["DOB"].to_pylist() == ["1915", None, "1916"]
            assert await worker.get_receipt(result.sealed.job_id) == result.receipt.compact
        job = await worker.submit(pa.table(PEOPLE), fields)
        assert (await job.wait(60)).state is State.DONE
        (await job.result()).close()


def block(page: str) -> str:
    """The first program of a page, as it is printed."""
    (first, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to" / page).read_text(), re.DOTALL)
    return str(first)


async def test_the_web_backend_under_load(desk: Desk) -> None:
    """Many requests on one connection: some good, one that cannot be used, one whose client is gone."""
    scope: dict[str, Any] = {}
    exec(block("in-a-web-backend.md"), scope)
    scope["connect_async"] = partial(connect_async, trusts=[desk.simulation.trust])
    async with scope["lifespan"](desk.folder / "client.toml") as worker:
        good = [asyncio.create_task(scope["answer"](worker, pa.table(PEOPLE), desk.spec)) for _ in range(6)]
        gone = asyncio.create_task(scope["answer"](worker, pa.table(PEOPLE), desk.spec))
        status, body = await scope["answer"](worker, pa.table({"record-id": ["1"]}), desk.spec)
        assert (status, "did you mean record_id?" in body["error"]) == (422, True)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        for status, body in await asyncio.gather(*good):
            assert (status, body["DOB"]) == (200, ["1915", None, "1916"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Python 3.12, about a fork with threads
def test_a_connection_refuses_calls_after_a_fork(desk: Desk) -> None:
    with desk.connect() as worker:
        worker.describe()
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    worker.describe()
                except SpecError as error:
                    status = 7 if "forked" in str(error) else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert worker.describe().audience == "pool"


def test_the_cells_of_a_notebook(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.setattr("cji_client.connect", partial(connect, trusts=[desk.simulation.trust]), raising=False)
    scope: dict[str, Any] = {"frame": pandas.DataFrame(PEOPLE)}
    exec(block("in-a-notebook.md"), scope)
    with scope["worker"] as worker, scope["result"] as result:
        for shown in (worker, result):
            assert "neumann" not in shown._repr_html_()
        with pytest.raises(SpecError, match="no link"):
            result.chart  # noqa: B018
        with worker.submit(scope["frame"], "job.toml").result(60) as again:
            assert len(again.pandas()) == 3


def test_spans_link_a_job_to_the_worker_and_show_no_data(desk: Desk, tmp_path: Path) -> None:
    """Of a job that ends well, one by a handle, one in a folder, and records that are wrong."""
    request = get_tracer("program").start_as_current_span("request")
    with recorded() as spans, desk.connect() as worker, request as outer:
        with worker.run(pa.table(PEOPLE), desk.spec) as result:
            assert result.table().num_rows == 3
            with worker.submit(pa.table(PEOPLE), desk.spec).result(60) as again, pytest.raises(Unverified):
                replace(again.sealed, outputs=result.sealed.outputs).opened_by(desk.recipient).table()
        with pytest.raises(SpecError):
            worker.run(pa.table({"record-id": ["neumann"]}), desk.spec)
        prepared = worker.prepare(pa.table(PEOPLE), desk.spec)
        job = save_job(worker.seal(prepared), prepared.inputs, tmp_path / "neumann", submitter="https://a.example/x")
        found = spans.ended()
    of: dict[object, list[str]] = {}
    for each in found:
        assert each.parent is not None
        assert each.parent.span_id == outer.get_span_context().span_id
        of.setdefault((each.attributes or {}).get("cji.job_id"), []).append(each.name)
    phases = ["cji.seal", "cji.send", "cji.wait", "cji.open"]
    direct, handle = result.receipt.claims.job_id, again.receipt.claims.job_id
    assert of == {
        None: ["cji.attest"] * 2,
        direct: phases,
        handle: phases,
        job.header.job_id.hex(): ["cji.seal", "cji.seal"],
    }
    keys = {key for each in found for key in dict(each.attributes or {})}
    assert keys == {"cji.job_id", "cji.rows", "cji.bytes", "error.type"}
    shown = "".join(each.to_json() for each in found).lower()
    values = {"neumann", "painter", "michaela", "courtney", "19151111"}
    canaries = values | {"record_id", "record-id", "dob", "job.toml", str(desk.folder).lower()}
    assert not {each for each in canaries if each in shown}


def test_another_thread_ends_a_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_client.sending._ACCEPT_SECONDS", 0.1)
    stop, sent = Cancellation(), len(desk.worker.seen)
    canceller = threading.Thread(target=stop.cancel)

    def batches() -> Iterator[pa.RecordBatch]:
        (batch,) = pa.table(PEOPLE).to_batches()
        yield batch
        canceller.start()  # the worker has accepted the job and waits for records
        canceller.join()
        yield batch

    with desk.connect() as worker:
        with pytest.raises(JobCancelled) as caught:
            worker.run(batches(), desk.spec, cancellation=stop)
        assert not caught.value.retryable
        assert caught.value.standing.release is Release.NOT_RELEASED
        assert "sent, no receipt. The worker answers `not released`" in caught.value.remedy
        assert len(desk.worker.seen) == sent + 1
        with pytest.raises(JobCancelled) as caught:
            worker.run(pa.table(PEOPLE), desk.spec, cancellation=stop)
        assert caught.value.remedy.endswith("Nothing was sent.")
    assert len(desk.worker.seen) == sent + 1


def test_an_input_that_fails_on_its_way_was_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_client.sending._ACCEPT_SECONDS", 0.1)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from pa.table(PEOPLE).to_batches()
        raise RuntimeError

    with desk.connect() as worker, pytest.raises(SpecError) as caught:
        worker.run(batches(), desk.spec)
    assert "Nothing was sent" not in caught.value.remedy
    assert caught.value.standing.sent is Sent.NO_RECEIPT
    assert caught.value.standing.job_id.hex() in caught.value.remedy


def test_the_evidence_of_a_saved_result_is_stamped(desk: Desk, tmp_path: Path) -> None:
    with desk.connect() as plain, serving(Answers({})) as authority:
        section = EvidenceSection(timestamp=f"{authority.base}/tsr", amd_crl=False)
        reference = msgspec.structs.replace(plain.profile.reference, timestamp_roots=tsa().roots)
        profile = msgspec.structs.replace(plain.profile, evidence=section, reference=reference)
        with (
            connect(profile, trusts=[desk.simulation.trust]) as worker,
            worker.run(pa.table(PEOPLE), desk.spec) as result,
        ):
            authority.answers["/tsr"] = ({}, tsa().response(result.attested.shown.stamped))
            assert result.save(tmp_path / "stamped") == ()
            authority.status = 503
            (note,) = result.save(tmp_path / "plain")
    assert "evidence.json has no timestamp" in note
    files = (tmp_path / name / "evidence.json" for name in ("stamped", "plain"))
    assert [bool(decode_evidence(file.read_bytes()).timestamp) for file in files] == [True, False]
    load_result(tmp_path / "stamped", trust=desk.simulation.trust, reference=reference).close()


def test_keys_that_are_no_files(desk: Desk) -> None:
    other = new_signing_key()
    with desk.connect(signer=KeySigner(other)) as worker, pytest.raises(Exception, match="HEADER_SIGNATURE_INVALID"):
        worker.run(pa.table(PEOPLE), desk.spec)

    @dataclass(frozen=True)
    class Careless(KeySigner):
        def public_key(self) -> ec.EllipticCurvePublicKey:
            return desk.signing.public_key()

    with desk.connect(signer=Careless(other)) as worker, pytest.raises(SpecError, match="does not verify"):
        worker.run(pa.table(PEOPLE), desk.spec)
    stranger = KeyDecrypter(new_recipient_key())
    with (
        desk.connect(signer=KeySigner(desk.signing), decrypter=stranger) as worker,
        worker.run(pa.table(PEOPLE), desk.spec) as result,
        pytest.raises(SpecError, match="not one of"),
    ):
        result.table()


def test_a_passphrase_from_a_callback_or_a_file(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = desk.signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    put_private(tmp_path / "signing.key", pem)
    with desk.connect() as plain:
        profile = msgspec.structs.replace(plain.profile, signing_key=str(tmp_path / "signing.key"))
    trusts = [desk.simulation.trust]
    with connect(profile, trusts=trusts) as worker, pytest.raises(SpecError, match="is encrypted"):
        _ = worker.signer
    with connect(profile, trusts=trusts, passphrase=lambda path: b"open sesame") as worker:
        assert worker.signer.public_key() == desk.signing.public_key()
    (tmp_path / "passphrase").write_text("open sesame\n")
    monkeypatch.setenv("CJI_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    with connect(profile, trusts=trusts) as worker:
        assert worker.signer.public_key() == desk.signing.public_key()
    (tmp_path / "passphrase").write_text("\n")
    with connect(profile, trusts=trusts) as worker, pytest.raises(SpecError, match="begin with a passphrase"):
        _ = worker.signer


def test_errors_have_columns_types_and_limits(desk: Desk) -> None:
    table = pa.table(PEOPLE)
    sent = len(desk.worker.seen)
    more = table.append_column("SOC", pa.array(["1"] * 3)).append_column("state", pa.array(["CA"] * 3))
    with desk.connect() as worker:
        with pytest.raises(MissingRule, match="no rule for SOC, state") as rule:
            worker.run(more, desk.spec)
        assert rule.value.columns == ("SOC", "state")
        with pytest.raises(ColumnError, match="unknown: colour") as unknown:
            worker.run(table.append_column("colour", pa.array(["red"] * 3)), desk.spec)
        assert unknown.value.columns == ("colour",)
        with pytest.raises(ColumnTypeError) as type_:
            worker.run(table.set_column(1, "last", pa.array([[1]] * 3)), desk.spec)
        assert (type_.value.columns, type_.value.row) == (("last",), None)
        assert type_.value.found.startswith("list<")
        assert type_.value.wanted == "string or binary"
        with pytest.raises(ColumnTypeError) as value:
            worker.run(table.set_column(3, "DOB", pa.array([1.0, 2.0, 2.5])), desk.spec)
        assert (value.value.columns, value.value.row) == (("DOB",), 2)
        spec = msgspec.structs.replace(worker.spec(desk.spec), shard_rows=1)
        with pytest.raises(LimitExceeded) as limit:
            worker.run(pa.concat_tables([table] * 400), spec)
        assert (limit.value.limit, limit.value.found, limit.value.most) == ("shards", 1200, 1024)
    assert len(desk.worker.seen) == sent


def test_sealed_here_sent_there_opened_elsewhere(desk: Desk, tmp_path: Path) -> None:
    with desk.connect() as here:
        prepared = here.prepare(pa.table(PEOPLE), desk.spec)
        save_job(here.seal(prepared), prepared.inputs, str(tmp_path / "job"), submitter=here.profile.submitter())
        profile = msgspec.structs.replace(here.profile, signing_key="", recipient_key=None)
    with connect(profile, trusts=[desk.simulation.trust]) as there:
        job = load_job(str(tmp_path / "job"))
        with pytest.raises(SpecError, match="names no signing_key"):
            there.run(pa.table(PEOPLE), desk.spec)
        with there.send(job, deadline=60) as result:
            with pytest.raises(SpecError, match="no key opens this result"):
                result.table()
            result.save(str(tmp_path / "result"))
            assert repr(result) == f"<OpenedResult of job {job.header.job_id.hex()}: result, row_status>"
            with pytest.raises(SpecError, match="exists"):
                result.save(tmp_path / "result")
    arguments = {"trust": desk.simulation.trust, "reference": profile.reference}
    with load_result(str(tmp_path / "result"), **arguments) as sealed:  # type: ignore[arg-type]
        assert sealed.opened_by(desk.recipient).table()["last"].to_pylist() == ["n******", "p******", "n******"]
        with pytest.raises(SpecError, match="not one of"):
            sealed.opened_by(new_recipient_key()).table()
        assert sealed.receipt.claims.job_id == job.header.job_id.hex()
        assert sealed.columns == {"records": tuple(PEOPLE)}
    assert b"neumann" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    folder = tmp_path / "result"
    assert read_result_folder(folder).job.job_id == job.header.job_id
    for name, check in (("parts/00000", "outputs"), ("receipt.jws", "payload"), ("header.bin", None)):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
        with pytest.raises((Unverified, SpecError)) as caught:
            load_result(folder, **arguments)  # type: ignore[arg-type]
        assert check is None or (isinstance(caught.value, Unverified) and caught.value.check.startswith(check)), name
        (folder / name).write_bytes(whole)
    last = folder / "parts" / "00001"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(Unverified):
        load_result(folder, **arguments)  # type: ignore[arg-type]
    (folder / "result.json").unlink()
    with pytest.raises(SpecError, match="cannot be read"):
        load_result(folder, **arguments)  # type: ignore[arg-type]


def example(name: str, desk: Desk, **changes: object) -> Any:
    """A program of examples/client, unchanged but for the roots."""
    spec = spec_from_file_location(name, ROOT / "examples" / "client" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for each, value in changes.items():
        setattr(module, each, value)
    return module


def test_the_examples(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust, profile, records = desk.simulation.trust, desk.folder / "client.toml", csv_of(tmp_path)
    frames = example("frames", desk, connect=partial(connect, trusts=[trust]))
    frames.main(str(profile), str(desk.spec), str(records))
    assert "receipt of worker-1 for 3 rows" in capsys.readouterr().out
    loop = example("event_loop", desk, connect_async=partial(connect_async, trusts=[trust]))
    asyncio.run(loop.main(str(profile), str(desk.spec), str(records), str(records)))
    assert capsys.readouterr().out.count(": 3 rows") == 2
    three = example("three_machines", desk, connect=partial(connect, trusts=[trust]), AZURE_US=trust)
    three.seal(profile, desk.spec, records, tmp_path / "job")
    three.send(profile, tmp_path / "job", tmp_path / "result")
    three.read(tmp_path / "result", profile, desk.folder / "recipient.key")
    assert "n******" in capsys.readouterr().out


def test_an_unknown_cloud(desk: Desk) -> None:
    with pytest.raises(SpecError, match='cloud = "simulation" is unknown'):
        connect(desk.folder / "client.toml")


def test_a_closed_connection_says_so(desk: Desk) -> None:
    with desk.connect() as worker:
        worker.describe()
    for call in (worker.describe, worker.attest, lambda: worker.run(pa.table(PEOPLE), desk.spec)):
        with pytest.raises(SpecError, match="the connection is closed"):
            call()
