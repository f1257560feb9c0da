"""A worker with two submitters and an authority that also certifies strangers; hostile callers as processes."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_client.profile import load_profile
from cji_core.command import build
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem, write_private
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawWorker
from cji_simulator.site import Site
from cji_simulator.worker import Worker
from tests.support.paths import ROOT
from tests.support.revocation import crl
from tests.support.simulations import simulated

__all__ = ["FIRST", "SECOND", "STRANGER", "Neighbours", "neighbours"]

FIRST: Final = "fulton-pd"
SECOND: Final = "cobb-pd"
STRANGER: Final = "nobody"
_START_S: Final = 30.0
_LIST: Final = "client-crl.pem"


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The worker, the signing key of each submitter, and who is certified by which name."""

    site: Site
    ca: Credential
    signing: Mapping[str, ec.EllipticCurvePrivateKey]

    def raw(self, name: str) -> RawWorker:
        """A connection under a certificate for this name."""
        folder = self.folder(name)
        return RawWorker(
            self.site.profile.target,
            ca=(folder / "ca.pem").read_bytes(),
            certificate=(folder / "client.pem").read_bytes(),
            private_key=(folder / "client.key").read_bytes(),
        )

    def folder(self, name: str) -> Path:
        """TLS files of this name."""
        return self.site.files.folder / f"tls-{name}"

    def cji(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of a command on this worker, as its operator runs it."""
        command = [*arguments[:1], "--config", str(self.site.files.config), *arguments[1:]]
        result = CliRunner().invoke(build(self.site.simulation.trust), command, catch_exceptions=False)
        return result.exit_code, result.output

    def reload(self) -> None:
        """Have the files read again; they are in order."""
        status, output = self.cji("reload")
        assert status == 0, output

    def revoke(self, *names: str) -> None:
        """Write a revocation list with the certificates of these names; it counts once it is loaded."""
        found = [x509.load_pem_x509_certificate((self.folder(name) / "client.pem").read_bytes()) for name in names]
        (self.site.files.folder / _LIST).write_bytes(crl(self.ca, [each.serial_number for each in found]))

    def _certify(self, name: str) -> None:
        folder, key = self.folder(name), ec.generate_private_key(ec.SECP256R1())
        folder.mkdir(mode=0o700)
        (folder / "ca.pem").write_bytes(self.site.profile.tls().ca_pem)
        (folder / "client.pem").write_bytes(pem(leaf(name, key, self.ca, uris=[san(name)]).certificate))
        write_private(folder / "client.key", private_pem(key))

    @contextmanager
    def hostile(self, act: str, name: str, count: int) -> Iterator[None]:
        """Run `tests.adversarial.peers.stranger` under this name; returns once it has begun."""
        command = [sys.executable, "-m", "tests.adversarial.peers.stranger", act, self.site.profile.target]
        with subprocess.Popen(
            [*command, str(self.folder(name)), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                begun, *_ = select.select([process.stdout], [], [], _START_S)
                assert begun, "the hostile caller did not begin"
                assert process.stdout.readline() == f"{act} {count}\n".encode()
                yield
            finally:
                process.stdin.close()
                process.kill()


def san(name: str) -> str:
    """The URI in a certificate for this name."""
    return f"spiffe://cji.example/agency/{name}"


@contextmanager
def neighbours(
    folder: Path, *, cells: int = 2, fronts: int | None = None, revocable: bool = False, **limits: int | str
) -> Iterator[Neighbours]:
    """Start the worker; `limits` are keys of its configuration's section of that name.

    `revocable`: the one authority of callers is the one that certifies these names, and there is a revocation list.
    """
    ca = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))
    signing = {name: ec.generate_private_key(ec.SECP384R1()) for name in (FIRST, SECOND)}
    with simulated(folder / "azure", release_limit=1000) as azure:
        cmk = azure.create_cmk("cji-neighbours")
        files = worker_config(
            folder / "site", simulation=azure, keys=[cmk], cells=cells, fronts=fronts, reference_mib=0
        )
        roots = folder / "site" / "client-roots.pem"
        roots.write_bytes((b"" if revocable else roots.read_bytes()) + pem(ca.certificate))
        if revocable:
            (folder / "site" / _LIST).write_bytes(crl(ca))
            files.config.write_text(files.config.read_text().replace("[listen]", f'[listen]\nclient_crl = "{_LIST}"'))
        files.policy.write_text(_policy(files.policy.read_text(), signing))
        if limits:
            lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in limits.items())
            files.config.write_text(f"{files.config.read_text()}\n[limits]\n{lines}")
        with Worker(files.config, trust=azure.trust, log=folder / "worker.log") as worker:
            profile = load_profile(files.profile)
            site = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=profile)
            found = Neighbours(site=site, ca=ca, signing=signing)
            for name in (FIRST, SECOND, STRANGER):
                found._certify(name)
            yield found


def _policy(text: str, signing: Mapping[str, ec.EllipticCurvePrivateKey]) -> str:
    """The one submitter of this policy under two names, each with a signing key of its own."""
    start = text.index("[[submitters]]")
    lines = "\n".join(line for line in text[start:].splitlines() if not line.startswith(("signing_key", "suites")))
    blocks = [text[:start]]
    for name, key in signing.items():
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        block = lines.replace(FIRST, name)
        blocks.append(
            block.replace(
                "[[submitters]]", f'[[submitters]]\nsigning_key = {json.dumps(public)}\nsuites = ["classical-1"]'
            )
        )
    return "\n".join(blocks) + "\n"
