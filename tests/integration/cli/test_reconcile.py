"""`cji audit reconcile` on the log of the vault that a real worker gets its key from."""

import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from azure.core.credentials import AccessToken
from click.testing import CliRunner, Result

from cji_audit.reconcile import LogFile
from cji_audit.reconcile.matching import is_release
from cji_audit.reconcile.workspace import Workspace, WorkspaceError
from cji_core.command import build
from cji_simulator.server import VAULT_LOG
from cji_simulator.site import Site, open_site
from tests.support.simulations import simulated


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worker whose vault serves nobody else."""
    state = tmp_path_factory.mktemp("reconcile")
    with simulated(state / "azure") as azure, open_site(state / "site", azure) as site:
        yield site


def reconcile(site: Site, log: Path, *arguments: object) -> Result:
    command = ["audit", "reconcile", "--trail", str(site.files.audit), "--log", str(log), *map(str, arguments)]
    return CliRunner().invoke(build(), command, catch_exceptions=False)


def test_a_workers_releases_match_and_a_rogues_is_found(served: Site, tmp_path: Path) -> None:
    log = served.simulation.state / VAULT_LOG
    found = json.loads(reconcile(served, log, "--json").stdout)
    assert found["counts"]["matched"] == found["counts"]["releases_in_trails"] >= 1
    assert (found["counts"]["orphans"], found["counts"]["unlogged"]) == (0, 0)
    assert all(pair["attested"] for pair in found["pairs"])

    attester = served.simulation.another_vm().attester()  # with valid evidence, and no trail
    buffer = bytearray(8192)
    before = datetime.now(UTC)
    attester.release_into(attester.attest(receipt_key=b"r" * 32), served.cmk.spec, memoryview(buffer))
    entries = list(LogFile(log).entries())
    assert [each.time > before for each in entries if is_release(each)].count(True) == 1
    aged = tmp_path / "aged.json"  # as the log reads a minute later
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records:
        if datetime.fromisoformat(record["time"][:26] + "+00:00") > before:
            record["time"] = (before + timedelta(hours=-1)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    aged.write_text("".join(json.dumps(record) + "\n" for record in records))
    shown = reconcile(served, aged)
    assert shown.exit_code == 3
    assert f"INCIDENT orphan_release {before - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}" in shown.stdout
    assert served.cmk.kek_id in shown.stdout


class Token:
    """A credential that asks nobody."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert all(scope.endswith("/.default") for scope in scopes)
        return AccessToken("opaque", int(datetime.now(UTC).timestamp()) + 3600)


def answering(site: Site, answers: list[tuple[int, dict[str, object]]], seen: list[dict[str, object]]) -> HTTPServer:
    """A query service on loopback, with the simulation's certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = answers[min(len(seen), len(answers)) - 1]
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    roots = site.simulation.state / "roots"
    context.load_cert_chain(roots / "tls.pem", roots / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def table(*rows: list[object]) -> dict[str, object]:
    columns = {
        "TimeGenerated": "datetime", "OperationName": "string", "HttpStatusCode": "int", "Id": "string",
        "CallerIpAddress": "string", "Identity": "dynamic",
    }  # fmt: skip
    shape = [{"name": name, "type": kind} for name, kind in columns.items()]
    return {"tables": [{"name": "PrimaryResult", "columns": shape, "rows": list(rows)}]}


def test_a_workspace_is_queried_from_before_its_last_answer(served: Site, tmp_path: Path) -> None:
    key = served.cmk.kek_id
    rows: list[list[object]] = [
        ["2026-11-24T12:00:00Z", "KeyRelease", 200, key, "10.0.0.4", '{"claim":{"oid":"aa"}}'],
        ["2026-11-24T12:00:01Z", "KeyGet", 200, key, "10.0.0.4", ""],
    ]
    seen: list[dict[str, object]] = []
    roots = tmp_path / "roots.pem"
    roots.write_text(served.simulation.endpoints.tls_roots)
    server = answering(served, [(200, table(*rows)), (200, table()), (403, {"error": {"code": "Forbidden"}})], seen)
    try:
        endpoint = f"https://127.0.0.1:{server.server_port}/v1"
        workspace = Workspace("w", timedelta(hours=1), endpoint=endpoint, credential=Token(), ca_file=str(roots))
        found = list(workspace.entries())
        assert [(each.operation, str(each.key), each.caller) for each in found] == [
            ("KeyRelease", key, frozenset({"aa"})),
            ("KeyGet", key, frozenset()),
        ]
        assert list(workspace.entries()) == []
        spans = [str(each["timespan"]).split("/") for each in seen]
        assert datetime.fromisoformat(spans[1][0]) < datetime.fromisoformat(spans[0][1])
        with pytest.raises(WorkspaceError, match="cannot be queried"):
            list(workspace.entries())
    finally:
        server.shutdown()
        server.server_close()
