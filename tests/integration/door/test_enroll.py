"""The door's key is made on the machine and certified by EST: first by a token, then by the certificate itself."""

import json
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.format.configuration.worker import EnrollmentSection, ListenSection
from cji_engine.roles import Role
from cji_simulator.certificates import authority, pem
from cji_simulator.est import EstService, Fault, est
from cji_worker.door.engine import obtain
from cji_worker.door.enrollment import Enrolled, enroll
from cji_worker.door.est import EnrollmentRefused
from tests.support.worker_configs import WORKER_CONFIG

NAMES = ("cji.agency.example", "pool-7.agency.example")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstService]:
    with est(tmp_path_factory.mktemp("est")) as found:
        yield found


@pytest.fixture
def service(running: EstService) -> EstService:
    running.fault, running.lifetime = None, timedelta(days=30)
    running.requests.clear()
    return running


def listen(service: EstService, folder: Path, *, roots: bytes | None = None, **changes: Any) -> ListenSection:
    (folder / "roots.pem").write_bytes(service.roots if roots is None else roots)
    given = {"url": service.url, "roots": str(folder / "roots.pem"), "names": NAMES} | changes
    return ListenSection(
        certificate=str(folder / "server.pem"),
        private_key=str(folder / "server.key"),
        client_roots="clients.pem",
        enrollment=EnrollmentSection(**given),
    )


def enrolled(service: EstService, section: ListenSection, **more: Any) -> Enrolled:
    return enroll(section, token=lambda: service.token, **more)


def installed(folder: Path) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    key = load_pem_private_key((folder / "server.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificates((folder / "server.pem").read_bytes()), key


def refused(run: Callable[[], object]) -> EnrollmentRefused:
    with pytest.raises(EnrollmentRefused) as caught:
        run()
    assert caught.value.remedy
    return caught.value


def test_a_new_machine_gets_a_certificate_for_its_own_key(service: EstService, tmp_path: Path) -> None:
    done = enrolled(service, listen(service, tmp_path))
    chain, key = installed(tmp_path)
    assert done == Enrolled(until=chain[0].not_valid_after_utc, renewed=True)
    assert chain[0].public_key() == key.public_key()
    assert isinstance(key.curve, ec.SECP384R1)
    assert chain[1:] == [service.issuing.certificate]  # up to the root, which submitters have
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    assert service.requests == [("simpleenroll", "token"), ("cacerts", "")]
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("server.key", "server.pem")]
    assert modes == [0o600, 0o644]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["roots.pem", "server.key", "server.pem"]


def test_an_engine_gets_a_certificate_for_each_role(service: EstService, tmp_path: Path) -> None:
    """By the roles that the engine itself knows, each with a key of its own, under the one authority beside them."""
    (tmp_path / "engine-roots.pem").write_bytes(service.roots)
    (tmp_path / "engine.toml").write_text(
        'cloud = "azure-us"\npool = "engine"\n[nodes]\naddresses = ["10.0.1.4"]\nname = "cji.agency.example"\n'
        f'roots = "node-roots.pem"\n[certificates]\nurl = "{service.url}"\nroots = "engine-roots.pem"\n'
    )
    folder = tmp_path / "engine"
    folder.mkdir()
    obtain(tmp_path / "engine.toml", folder, token=lambda: service.token)
    assert sorted(each.name for each in folder.iterdir()) == [
        "ca.pem",
        *(f"{role}{suffix}" for role in ("scheduler", "worker") for suffix in (".key", ".pem")),
    ]
    assert (folder / "ca.pem").read_bytes() == service.roots
    keys = set()
    for role in ("scheduler", "worker"):
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / f"{role}.pem", folder / f"{role}.key")
        found = x509.load_pem_x509_certificate((folder / f"{role}.pem").read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [Role(role).host]
        keys.add(found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert len(keys) == 2
    asked = len(service.requests)
    obtain(tmp_path / "engine.toml", folder, token=lambda: service.token)
    assert len(service.requests) == asked


def test_a_certificate_in_force_is_left_alone(service: EstService, tmp_path: Path) -> None:
    section = listen(service, tmp_path)
    enrolled(service, section)
    before, asked = installed(tmp_path), len(service.requests)
    assert not enrolled(service, section).renewed
    assert len(service.requests) == asked
    assert installed(tmp_path)[0] == before[0]


def test_the_last_third_of_a_certificate_brings_a_new_key(service: EstService, tmp_path: Path) -> None:
    section = listen(service, tmp_path)
    enrolled(service, section)
    (old, *_), old_key = installed(tmp_path)
    service.requests.clear()
    life = old.not_valid_after_utc - old.not_valid_before_utc
    at = old.not_valid_before_utc + life * 2 / 3
    assert not enrolled(service, section, now=lambda: at - timedelta(seconds=1)).renewed
    assert enrolled(service, section, now=lambda: at).renewed
    (new, *_), new_key = installed(tmp_path)
    assert service.requests == [("simplereenroll", "certificate"), ("cacerts", "")]
    assert new_key.public_key() != old_key.public_key()
    assert new.subject == old.subject


def test_a_machine_whose_certificate_is_not_renewed_enrols_again(service: EstService, tmp_path: Path) -> None:
    section = listen(service, tmp_path)
    enrolled(service, section)
    service.requests.clear()
    service.fault = Fault.NO_RENEWAL
    assert enrolled(service, section, force=True).renewed
    assert [verb for verb, _ in service.requests] == ["simplereenroll", "simpleenroll", "cacerts"]


@pytest.mark.parametrize("damage", ["other key", "no key", "expired", "other names"])
def test_files_that_cannot_be_used_are_replaced(service: EstService, tmp_path: Path, damage: str) -> None:
    section = listen(service, tmp_path)
    service.lifetime = timedelta(minutes=10)
    enrolled(service, section)
    service.requests.clear()
    service.lifetime, now = timedelta(days=30), datetime.now(UTC)
    if damage == "other key":
        (tmp_path / "other").mkdir()
        enrolled(service, listen(service, tmp_path / "other"))
        (tmp_path / "server.key").write_bytes((tmp_path / "other" / "server.key").read_bytes())
    if damage == "no key":
        (tmp_path / "server.key").unlink()
    if damage == "expired":
        now += timedelta(minutes=11)
    if damage == "other names":
        section = listen(service, tmp_path, names=NAMES[:1])
    assert enrolled(service, section, now=lambda: now).renewed
    assert ("simplereenroll", "certificate") not in service.requests
    assert installed(tmp_path)[0][0].public_key() == installed(tmp_path)[1].public_key()


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (Fault.AWAY, 4, "HTTP 503"),
        (Fault.NEVER, 4, "has not issued the certificate yet"),
        (Fault.OTHER_KEY, 1, "another key"),
        (Fault.OTHER_NAME, 1, "other names"),
        (Fault.MORE_NAMES, 1, "other names"),
        (Fault.CLIENT, 1, "not one of a server"),
        (Fault.EXPIRED, 1, "valid now"),
        (Fault.OTHER_AUTHORITY, 1, "does not lead to enrollment.roots"),
        (Fault.NOISE, 1, "not a certificate"),
        (Fault.HUGE, 4, "does not answer"),
        (Fault.PAGE, 1, "'text/html'"),
    ],
)
def test_what_a_service_gets_wrong_leaves_the_old_files(
    service: EstService, tmp_path: Path, fault: Fault, status: int, reason: str
) -> None:
    section = listen(service, tmp_path)
    enrolled(service, section)
    before = [(tmp_path / name).read_bytes() for name in ("server.pem", "server.key")]
    service.fault = fault
    found = refused(lambda: enrolled(service, section, force=True, total_seconds=0.5))
    assert (found.status, reason in found.what) == (status, True), found.what
    assert [(tmp_path / name).read_bytes() for name in ("server.pem", "server.key")] == before


def test_an_answer_that_takes_its_time_is_waited_for(service: EstService, tmp_path: Path) -> None:
    service.fault = Fault.PENDING
    assert enrolled(service, listen(service, tmp_path)).renewed
    assert [verb for verb, _ in service.requests] == ["simpleenroll", "simpleenroll", "cacerts"]


def test_an_unknown_machine_is_refused(service: EstService, tmp_path: Path) -> None:
    for token in (lambda: "another", None):
        found = refused(partial(enroll, listen(service, tmp_path), token=token))
        assert "does not accept this machine" in found.what
    assert not (tmp_path / "server.key").exists()


def test_a_service_under_another_root_gets_no_token(service: EstService, tmp_path: Path) -> None:
    other = pem(authority("Agency Root", ec.generate_private_key(ec.SECP384R1())).certificate)
    found = refused(lambda: enrolled(service, listen(service, tmp_path, roots=other)))
    assert (found.status, "does not answer" in found.what) == (4, True)
    assert service.requests == []


def test_roots_that_are_none(service: EstService, tmp_path: Path) -> None:
    refused(lambda: enrolled(service, listen(service, tmp_path, roots=b"")))
    section = listen(service, tmp_path)
    (tmp_path / "roots.pem").unlink()
    refused(lambda: enrolled(service, section))


def test_the_command(service: EstService, tmp_path: Path) -> None:
    listen(service, tmp_path)
    enrollment = f'[listen.enrollment]\nurl = "{service.url}"\nroots = "roots.pem"\nnames = ["cji.agency.example"]\n'
    config = tmp_path / "worker.toml"

    def cji(*more: str) -> Any:
        arguments = ["door", "enroll", "--config", str(config), *more]
        return CliRunner().invoke(build(AZURE_US), arguments, catch_exceptions=False)

    config.write_text(WORKER_CONFIG)
    without = cji()
    assert (without.exit_code, "Add [listen.enrollment]" in without.output) == (2, True)
    config.write_text(WORKER_CONFIG + enrollment)
    unknown = cji()  # without an audience no token is sent
    assert (unknown.exit_code, "enrollment.audience" in unknown.output) == (1, True)
    enroll(listen(service, tmp_path, names=NAMES[:1]), token=lambda: service.token)
    done = cji("--json")
    assert (done.exit_code, json.loads(done.output)["renewed"]) == (0, False)
    assert "a new certificate, until" in cji("--force").output
    service.fault = Fault.AWAY
    assert cji("--force").exit_code == 4
    assert cji().exit_code == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://est.example/.well-known/est", "https://est.example", "https://est.example/.well-known/est/",
        "https://user@est.example/.well-known/est", "https://est.example/.well-known/est/a/b",
    ],
)  # fmt: skip
def test_an_address_that_is_none_of_est(tmp_path: Path, url: str) -> None:
    from cji_core.errors import StartupError
    from cji_core.format.configuration.worker import load

    config = tmp_path / "worker.toml"
    config.write_text(f'{WORKER_CONFIG}[listen.enrollment]\nurl = "{url}"\nroots = "r"\nnames = ["a.example"]\n')
    with pytest.raises(StartupError):
        load(config)
