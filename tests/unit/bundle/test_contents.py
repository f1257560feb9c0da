"""What makes a worker is checked by the worker's own readers; anything else is refused with the reason."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cji_attestation.bundle.contents import PRIVATE, check_contents, check_pool
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import LISTED, Access, access_of
from cji_core.command.groups import HELP
from cji_core.format.configuration.table_files import read_table_files
from cji_core.jose import key_id
from cji_worker.bundle.apply import door_of
from cji_worker.door.config import Build
from tests.support.bundles import KEY, LIST, LISTING, files, made, worker_toml
from tests.support.forge import crl, machine
from tests.support.paths import ROOT
from tests.support.tlog_site import a_policy, write_policy

CLOUDS = ("azure-us", "azure-usgov")
ENROLL = """[listen.enrollment]
url = "https://est.agency.example/.well-known/est"
roots = "tls/est-roots.pem"
names = ["cji.agency.example"]
"""
SIGNED = f'policy_signers = ["{key_id(KEY.public_key())}"]\npolicy_signatures = 1'
FLEET = """[fleet]
blob_url = "https://x.blob.core.windows.net"
queue_url = "https://x.queue.core.windows.net"
ca_file = "tls/fleet-roots.pem"

[ledger]
kind = "pool"
blob_url = "https://x.blob.core.windows.net"
"""
ENGINE = FLEET.replace(
    'ca_file = "tls/fleet-roots.pem"',
    'tasks_socket = "/run/cji-tasks/tasks.sock"\nengine_roots = "tls/engine-roots.pem"',
)
CLIENTS = files()["tls/client-roots.pem"]
LEDGER = """[ledger]
kind = "pool"
blob_url = "https://x.blob.core.windows.net"
ca_file = "tls/ledger-roots.pem"
"""
ISSUERS = b'ak_issuers = "tls/azure-vtpm-issuers.pem"'
SEED = 'ml_kem_seed_file = "seeds/a.seed"\nml_kem_thumbprint = "' + "A" * 43 + '"'


def refused(given: dict[str, bytes]) -> str:
    with pytest.raises(BundleRefused) as caught:
        check_contents(given, clouds=CLOUDS)
    assert caught.value.remedy
    return caught.value.what


def test_the_files_of_a_worker_are_accepted() -> None:
    found = check_contents(files(), clouds=CLOUDS)
    assert found.config.worker.audience == "pool-7"
    assert found.notes == ("the policy needs no signatures of its own: anyone who signs the bundle decides it alone",)


def test_the_doors_configuration_names_files_where_they_will_be(tmp_path: object) -> None:

    text = door_of(
        check_contents(files(), clouds=CLOUDS), Path("/run/cji/config"), Build((1, 26), (3, 5), None)
    ).decode()
    assert 'ssl_client_certificate "/run/cji/config/tls/client-roots.pem"' in text
    assert 'ssl_certificate_key "/run/cji-tls/server.key"' in text
    assert "/tmp" not in text


CONSOLE = f"""
status_socket = "/run/cji-status/status.sock"
certificate = "/run/cji-tls/server.pem"
[monitor]
endpoint = "https://a.example"
rule = "dcr-{"0" * 32}"
client_id = "00000000-0000-4000-8000-000000000001"
""".encode()


def test_a_console_may_send_and_show_the_doors_certificate() -> None:
    assert check_contents(files(changed={"console.toml": CONSOLE}), clouds=CLOUDS)


def test_the_console_s_identity_is_no_other_s() -> None:
    name = "00000000-0000-4000-8000-00000000000A"
    own = CONSOLE.replace(b"00000000-0000-4000-8000-000000000001", name.encode())
    assert check_contents(files(changed={"console.toml": own}), clouds=CLOUDS)
    worker = worker_toml().replace(b"[attestation]", f'[attestation]\nclient_id = "{name.lower()}"'.encode())
    assert "client_id of console.toml" in refused(files(changed={"console.toml": own, "worker.toml": worker}))


def test_an_enrollment_needs_its_roots() -> None:
    assert "enrollment.roots: 'tls/est-roots.pem' is not in the bundle" in refused(files(listen=ENROLL))
    roots = files()["tls/client-roots.pem"]
    assert check_contents(files(listen=ENROLL, changed={"tls/est-roots.pem": roots}), clouds=CLOUDS)


def test_the_doors_identity_for_storage_is_no_other_s() -> None:
    name, roots = "00000000-0000-4000-8000-00000000000A", files()["tls/client-roots.pem"]
    way = ENROLL.replace("https://est.agency.example/.well-known/est", "https://x.blob.core.windows.net")

    def given(listen: str, more: str = "") -> dict[str, bytes]:
        worker = worker_toml(listen=listen).replace(b"[attestation]", f"[attestation]\n{more}".encode())
        return files(changed={"worker.toml": worker, "tls/est-roots.pem": roots})

    own = f'{way}container = "enroll"\nclient_id = "{name}"\n'
    assert check_contents(given(own), clouds=CLOUDS)
    what = "client_id of [listen.enrollment]"
    assert what in refused(given(f'{way}container = "enroll"\n'))
    assert what in refused(given(own, f'client_id = "{name.lower()}"'))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (files(changed={"worker.toml": None}), "There is no worker.toml"),
        (files(changed={"worker.toml": b"cloud = 1"}), "The configuration worker.toml is not valid"),
        (files(top="unknown_key = 1"), "unknown field `unknown_key`"),
        (files(cloud="elsewhere"), 'cloud = "elsewhere" is unknown'),
        (files(changed={"policy.toml": None}), "policy_file: 'policy.toml' is not in the bundle"),
        (files(changed={"policy.toml": b"nonsense = 1"}), "policy_file: "),
        (files(changed={"tls/client-roots.pem": None}), "client_roots: 'tls/client-roots.pem' is not in the bundle"),
        (files(changed={"tls/client-roots.pem": b"none"}), "client_roots: it is not PEM certificates"),
        (files(listen='client_crl = "tls/client-crl.pem"'), "client_crl: 'tls/client-crl.pem' is not in the bundle"),
        (
            files(listen='client_crl = "/run/cji-tls/crl.pem"'),
            "client_crl: '/run/cji-tls/crl.pem' is not in the bundle",
        ),
        (files(listen='client_crl = "/etc/crl.pem"'), "client_crl: '/etc/crl.pem' is not in the bundle"),
        (files(listen="port = 9443"), "[listen] names another address"),
        (files(listen='socket = "/run/x/front.sock"'), "[listen] names another address"),
        (files(changed={"audit.toml": b'trail = "x"'}), "audit.toml is not valid"),
        (files(changed={"audit.toml": files()["audit.toml"].replace(b"journald", b"pigeon")}), "unknown kind"),
        (files(changed={"console.toml": b"x = 1"}), "console.toml is not valid"),
        (
            files(changed={"console.toml": b'status_socket = "s"\ncertificate = "tls/server.pem"'}),
            "certificate of console.toml: 'tls/server.pem' is not in the bundle",
        ),
        (files(changed={"console.toml": CONSOLE.replace(b"https:", b"http:")}), "does not let the console reach"),
        (
            files(changed={"console.toml": CONSOLE.replace(b"a.example", b"169.254.169.254")}),
            "does not let the console",
        ),
        (files(top='tables = "other"'), "tables: not the folder of the bundle"),
        (files(top=SIGNED), "policy_signatures: 'policy.toml.signatures' is not in the bundle"),
        (files(key=FLEET), "fleet.ca_file: 'tls/fleet-roots.pem' is not in the bundle"),
        (files(key=ENGINE), "fleet.engine_roots: 'tls/engine-roots.pem' is not in the bundle"),
        (files(key=ENGINE, changed={"tls/engine-roots.pem": b"none"}), "fleet.engine_roots: it is not PEM"),
        (
            files(key=ENGINE, changed={"tls/engine-roots.pem": b"\n" + CLIENTS}),
            "fleet.engine_roots: the engine's authority is that of submitters",
        ),
        (files(key=LEDGER), "ledger.ca_file: 'tls/ledger-roots.pem' is not in the bundle"),
        (files(key=SEED), "ml_kem_seed_file: 'seeds/a.seed' is not in the bundle"),
        (
            files(changed={"worker.toml": worker_toml().replace(b"/run/cji-tls/server.pem", b"tls/server.pem")}),
            "certificate: 'tls/server.pem' is not in the bundle",
        ),
        (
            files(changed={"worker.toml": worker_toml().replace(b"[attestation]", b"[attestation]\n" + ISSUERS)}),
            "ak_issuers: 'tls/azure-vtpm-issuers.pem' is not in the bundle",
        ),
        (
            files(changed={"worker.toml": worker_toml().replace(b'products = ["Genoa"]', b"products = []")}),
            "attestation.reference_values",
        ),
        (
            files(changed={"worker.toml": worker_toml().replace(b"/run/cji-tls/server.key", b"tls/server.key")}),
            "private_key of [listen] is not a key that the machine makes",
        ),
        (
            files(changed={"worker.toml": worker_toml().replace(b'"policy.toml"', b'"tls/client-roots.pem"')}),
            "policy_file: another file than policy.toml",
        ),
    ],
)
def test_files_that_make_no_worker_are_refused(given: dict[str, bytes], reason: str) -> None:
    assert reason in refused(given)


def test_a_seed_is_a_file_that_only_the_worker_reads() -> None:
    assert access_of("seeds/a.seed") == Access("cji", owner="cji")
    assert access_of("seeds/a.pem") is None


LOG = b"""
[log]
policy = "log/policy.toml"
token_file = "log/submitter.token"
"""


def with_log(folder: Path, *, url: str = "https://log.pd.example/trails", **changed: bytes | None) -> dict[str, bytes]:
    """A bundle whose deliverer has the agency's log."""
    write_policy(folder / "policy.toml", a_policy(url=url))
    audit = b'receipt_keys = "receipt-keys"\n' + files()["audit.toml"] + LOG
    given = {"log/policy.toml": (folder / "policy.toml").read_bytes(), "log/submitter.token": b"s" * 40}
    return files(changed={"audit.toml": audit, **given, **{f"log/{name}": of for name, of in changed.items()}})


def test_the_log_of_a_deliverer_is_checked(tmp_path: Path) -> None:
    found = check_contents(with_log(tmp_path), clouds=CLOUDS)
    assert found.secrets == ("the submitter's token for the agency's log",)
    assert "deploy this bundle as a blob" in " ".join(found.notes)
    assert access_of("log/policy.toml") == Access("cji-audit")
    assert access_of("log/submitter.token") == Access("cji-audit", owner="cji-audit")
    assert access_of("log/reader.token") is None
    assert check_contents(files(), clouds=CLOUDS).secrets == ()


@pytest.mark.parametrize("name", ["log/token.toml", "receipt-keys/token.json", "tls/token-roots.pem"])
def test_a_token_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    given = with_log(tmp_path)
    audit = given["audit.toml"].replace(b"log/submitter.token", name.encode())
    moved = given | {"audit.toml": audit, name: given["log/submitter.token"]}
    assert access_of(name) is not None
    assert "the token is in another file than log/submitter.token" in refused(moved)
    del moved["log/submitter.token"]
    assert "the token is in another file than log/submitter.token" in refused(moved)


@pytest.mark.parametrize("token", [b"short", b"", b"s" * 40 + b"\nmore", b"s" * 1025, b"\xff" * 40])
def test_a_token_that_is_none_is_refused(tmp_path: Path, token: bytes) -> None:
    changed: dict[str, Any] = {"submitter.token": token}
    what = refused(with_log(tmp_path, **changed))
    assert "log/submitter.token" in what
    assert "cji-bundle-" not in what


def test_a_log_that_no_deliverer_reaches_is_refused(tmp_path: Path) -> None:
    gone: dict[str, Any] = {"submitter.token": None}
    assert "'log/submitter.token' is not in the bundle" in refused(with_log(tmp_path, **gone))
    wrong: dict[str, Any] = {"policy.toml": b"quorum = 0"}
    assert "is not valid" in refused(with_log(tmp_path, **wrong))


@pytest.mark.parametrize(
    "url",
    [
        "https://log.pd.example:8444/trails", "https://log.pd.example:0/trails", "http://127.0.0.1:8444/trails",
        "https://log.pd.example:99999/trails", "https://log.pd.example:x/trails", "https://:443/trails",
        "https://8.8.8.8/trails", "https://134744072/trails", "https://8.8.2056/trails", "https://0x08080808/trails",
        "https://8.8.8.8./trails", "https://127.0.0.1/trails", "https://172.32.0.1/trails", "https://log./trails",
    ],
)  # fmt: skip
def test_an_address_that_no_deliverer_reaches_is_refused(tmp_path: Path, url: str) -> None:
    assert "firewall" in refused(with_log(tmp_path, url=url))


@pytest.mark.parametrize(
    "host", ["log.pd.example:443", "log1", "10.9.8.7", "172.31.0.1", "192.168.0.1:443", "4.pd.example"]
)
def test_a_log_at_a_name_or_private_address_is_taken(tmp_path: Path, host: str) -> None:
    assert check_contents(with_log(tmp_path, url=f"https://{host}/trails"), clouds=CLOUDS)


def test_private_addresses_are_those_of_the_firewall() -> None:
    rules = (ROOT / "deploy/image/extra/etc/nftables.conf").read_text()
    (elements,) = re.findall(r"set private \{.* elements = \{ (.+?) \} \}", rules)
    assert elements.split(", ") == [str(each) for each in PRIVATE]


def test_files_of_a_log_that_nothing_uses_are_refused() -> None:
    """The worker records statements of loss by their names, and without a log nobody verifies them."""
    what = refused(files(changed={"log/1.lost.json": b"{}"}))
    assert what.startswith("The bundle has log/1.lost.json, and audit.toml no [log]")


def test_files_that_nothing_names_are_noted() -> None:
    given = files(changed={"reference/old.jws": b"x", "tables/ncic.toml": b"x", "seeds/a.seed": b"c2VlZA"}, key=SEED)
    notes = " ".join(check_contents(given, clouds=CLOUDS).notes)
    assert "worker.toml does not name reference/old.jws, tables/ncic.toml" in notes
    assert "deploy this bundle as a blob" in notes


def test_a_named_reference_and_the_tables_folder_are_not_noted() -> None:
    given = {f"tables/{name}": data for name, data in read_table_files().items()}
    found = check_contents(
        files(changed={LIST: crl(), **given}, top='tables = "tables"', values=LISTING), clouds=CLOUDS
    )
    assert found.config.tables is not None
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x", "not a CRL"),
        (crl(until=timedelta(hours=-1)), "in force from"),
        (crl(updated=timedelta(days=-400)), "400 days old"),
        (crl(issuer=machine().chip.ask), "of another issuer"),
    ],
    ids=["no list", "over", "old", "of another authority"],
)
def test_a_list_that_no_machine_could_use_is_refused(data: bytes, says: str) -> None:
    """Before it is signed: a running worker would drop its keys."""
    what = refused(files(changed={LIST: data}, values=LISTING))
    assert what.startswith("attestation.reference_values: the list of Genoa in amd_crls is ")
    assert says in what


def test_a_reference_value_is_a_file_of_the_bundle(tmp_path: Path) -> None:
    """By its name there. A desk may have others, which a machine has not."""
    (tmp_path / "Genoa.crl").write_bytes(crl())
    for name in (str(tmp_path / "Genoa.crl"), "./reference/Genoa.crl"):
        what = refused(files(changed={LIST: crl()}, values=LISTING.replace(LIST, name)))
        assert what.endswith("Genoa.crl' is not in the bundle")


def test_a_bundle_is_of_the_pool_that_its_worker_names() -> None:
    pool = check_contents(files(), clouds=CLOUDS).pool
    check_pool(made(pool="pool-7"), pool)
    with pytest.raises(BundleRefused, match=r"of pool 'pool-8', its files of 'pool-7'"):
        check_pool(made(pool="pool-8"), pool)


def test_the_help_names_every_secret_of_a_bundle() -> None:
    """What one user alone reads is secret. Red before: the help said that a bundle has none."""
    found = {name: access_of(name.replace("NAME", "x")) for name in LISTED.split(", ")}
    secrets = {name for name, access in found.items() if access is not None and access.owner is not None}
    assert secrets == {"seeds/NAME.seed", "log/submitter.token"}
    assert [name for name in secrets if name not in HELP["bundle"]] == []
