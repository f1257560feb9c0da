"""A timestamp authority (RFC 3161) on this machine's loopback: `openssl ts` answers what is posted to it.

with timestamp_authority(FOLDER) as found:
    found.url, found.root        # where requests go, and the PEM file of its root
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cji_simulator.certificates import Credential, authority, name, pem, private_pem, validity, write_private

__all__ = ["TimestampAuthority", "timestamp_authority"]

MAX_REQUEST: Final = 1 << 14
_CONFIGURATION: Final = """
[tsa]
default_tsa = simulated
[simulated]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
certs = {folder}/chain.pem
signer_key = {folder}/signer.key
signer_digest = sha512
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthority:
    """Its address, and the file of its root."""

    url: str
    root: Path


@contextmanager
def timestamp_authority(folder: Path) -> Iterator[TimestampAuthority]:
    """An authority until the block ends. `folder` exists and is its own. Needs the program openssl."""
    root = authority("Simulated TSA Root", rsa.generate_private_key(65537, 3072))
    signer = _signer(root)
    write_private(folder / "signer.key", private_pem(signer.key))
    (folder / "signer.pem").write_bytes(pem(signer.certificate))
    (folder / "chain.pem").write_bytes(pem(root.certificate))
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=folder))
    with HTTPServer(("127.0.0.1", 0), _handler(folder)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield TimestampAuthority(url=f"http://127.0.0.1:{server.server_port}/tsr", root=folder / "chain.pem")
        finally:
            server.shutdown()
            thread.join()


def _signer(root: Credential) -> Credential:
    """A certificate whose one purpose is to stamp."""
    key = rsa.generate_private_key(65537, 3072)
    begin, end = validity()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Simulated Timestamp Authority"))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    )
    return Credential(key=key, certificate=builder.sign(root.key, hashes.SHA256()), above=root.chain)


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request, response = folder / "request.tsq", folder / "response.tsr"
            request.write_bytes(self.rfile.read(min(MAX_REQUEST, int(self.headers.get("Content-Length", 0)))))
            paths = ("-config", folder / "tsa.cnf", "-queryfile", request, "-out", response)
            command = ["openssl", "ts", "-reply", *map(str, paths)]
            done = subprocess.run(command, check=False, capture_output=True, timeout=60)
            self.send_response(200 if done.returncode == 0 else 500)
            data = response.read_bytes() if done.returncode == 0 else b""
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
