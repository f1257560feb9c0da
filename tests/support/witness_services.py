"""Local services of witnesses, over HTTPS, with faults: Blob Storage, Confidential Ledger and a transparency service.

Each speaks the documented requests and answers that the witness needs, and is a separate implementation of its proofs:
the ledger's receipts are made by hand in the format of CCF, the transparency service's by scitt-cose.
"""

import asyncio
import base64
import contextlib
import datetime
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from scitt_cose import build_receipt

Fault = Literal[
    "401", "403", "404", "409", "412", "429", "500", "cut", "slow", "redirect", "huge", "gzip", "lost", "garbage"
]
FAULTS: Final[tuple[Fault, ...]] = (
    "401", "403", "404", "409", "412", "429", "500", "cut", "slow", "redirect", "huge", "gzip", "lost", "garbage",
)  # fmt: skip
TOKEN: Final = "local-token"
NOW: Final = datetime.datetime(2026, 11, 24, 16, 0, 0, tzinfo=datetime.UTC)


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""Python 3.13 requires it of an authority (X509_V_FLAG_X509_STRICT)."""


@dataclass(kw_only=True)
class Authority:
    """A certificate authority, and certificates that it issues."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    def __post_init__(self) -> None:
        self.certificate = self._issue(self.name, self.key.public_key(), ca=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, key: ec.EllipticCurvePublicKey) -> str:
        return self._issue(name, key, ca=False).public_bytes(serialization.Encoding.PEM).decode()

    def _issue(self, name: str, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1))
            .not_valid_after(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        else:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass(kw_only=True)
class Blobs:
    """Containers of one storage account; a blob is created once."""

    immutable: bool = True
    legal_hold: bool = False
    blobs: dict[str, bytes] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].split("/")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _blob_error(401, "NoAuthenticationInformation")
        if request.query.get("restype") == "container" and request.query.get("comp") == "list":
            return self._list(request)
        if request.query.get("restype") == "container":
            headers = {
                "x-ms-has-immutability-policy": str(self.immutable).lower(),
                "x-ms-has-legal-hold": str(self.legal_hold).lower(),
                "ETag": '"0x1"',
                "Last-Modified": format_datetime(NOW, usegmt=True),
            }
            return web.Response(status=200, headers=headers)
        name = path[1]
        if request.method == "PUT":
            if name in self.blobs and request.headers.get("If-None-Match") == "*":
                return _blob_error(409, "BlobAlreadyExists")
            self.blobs[name] = await request.read()
            return web.Response(status=201, headers=self._properties(name))
        if name not in self.blobs:
            return _blob_error(404, "BlobNotFound")
        body = self.blobs[name]
        if request.method == "HEAD":
            return web.Response(headers=self._properties(name) | {"Content-Length": str(len(body))})
        ranged = {"Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}"}
        return web.Response(status=206, body=body, headers=self._properties(name) | ranged)

    def _properties(self, name: str) -> dict[str, str]:
        digest = hashlib.sha256(self.blobs[name]).hexdigest()[:16]
        return {
            "ETag": f'"0x{digest}"',
            "Last-Modified": format_datetime(NOW, usegmt=True),
            "x-ms-blob-type": "BlockBlob",
        }

    def _list(self, request: web.Request) -> web.Response:
        start = request.query.get("startFrom", "")
        names = sorted(name for name in self.blobs if name >= start)
        found = "".join(f"<Blob><Name>{name}</Name></Blob>" for name in names)
        body = (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://127.0.0.1/" '
            f'ContainerName="c"><Blobs>{found}</Blobs><NextMarker /></EnumerationResults>'
        )
        return web.Response(text=body, content_type="application/xml")


@dataclass(kw_only=True)
class Ledger:
    """A ledger with one node. `falsify` changes a receipt before it is sent."""

    service: Authority
    entries: list[tuple[str, str]] = field(default_factory=list)
    waits: int = 0
    falsify: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

    def __post_init__(self) -> None:
        self.node = ec.generate_private_key(ec.SECP384R1())
        self.node_certificate = self.service.issue("node", self.node.public_key())
        self._looks: dict[str, int] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _ledger_error(401, "Unauthorized")
        if path == "transactions" and request.method == "POST":
            contents = json.loads(await request.read())["contents"]
            self.entries.append((request.query["collectionId"], contents))
            headers = {"x-ms-ccf-transaction-id": f"2.{len(self.entries)}"}
            return web.json_response({"collectionId": request.query["collectionId"]}, headers=headers)
        if path == "transactions/current":
            mine = [i for i, (name, _) in enumerate(self.entries) if name == request.query["collectionId"]]
            if not mine:
                return _ledger_error(404, "UnknownCollection")
            collection, contents = self.entries[mine[-1]]
            entry = {"collectionId": collection, "contents": contents, "transactionId": f"2.{mine[-1] + 1}"}
            return web.json_response(entry)
        transaction, _, what = path.removeprefix("transactions/").partition("/")
        index = int(transaction.partition(".")[2]) - 1
        if not 0 <= index < len(self.entries):
            return _ledger_error(404, "InvalidTransactionId")
        self._looks[path] = self._looks.get(path, 0) + 1
        ready = self._looks[path] > self.waits
        if what == "status":
            return web.json_response({"state": "Committed" if ready else "Pending", "transactionId": transaction})
        if not ready:
            return web.json_response({"state": "Loading", "transactionId": transaction})
        return web.json_response(self.falsify(self.receipt(index)))

    def receipt(self, index: int) -> dict[str, Any]:
        """As CCF makes one: a leaf from write set, commit evidence and claims, a path, a signature over the root."""
        collection, contents = self.entries[index]
        secret = hashlib.sha256(f"secret {index}".encode()).digest()
        halves = (hmac.digest(secret, collection.encode(), "sha256"), hmac.digest(secret, contents.encode(), "sha256"))
        claim = _sha256(b"LedgerEntryV1" + _sha256(b"".join(halves)))
        claims = _sha256((1).to_bytes(4, "little") + claim)
        evidence = f"ce:2.{index + 1}:{_sha256(secret).hex()}"
        write_set = _sha256(b"write set" + contents.encode())
        node = _sha256(write_set + _sha256(evidence.encode()) + claims)
        proof = []
        for step, side in enumerate(("left", "right", "left")):
            sibling = _sha256(f"sibling {index} {step}".encode())
            node = _sha256(sibling + node) if side == "left" else _sha256(node + sibling)
            proof.append({side: sibling.hex()})
        signature = self.node.sign(node, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        public = self.node.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "applicationClaims": [
                {
                    "kind": "LedgerEntry",
                    "ledgerEntry": {
                        "collectionId": collection,
                        "contents": contents,
                        "protocol": "LedgerEntryV1",
                        "secretKey": base64.b64encode(secret).decode(),
                    },
                }
            ],
            "receipt": {
                "cert": self.node_certificate,
                "leafComponents": {
                    "claimsDigest": claims.hex(),
                    "commitEvidence": evidence,
                    "writeSetDigest": write_set.hex(),
                },
                "nodeId": _sha256(public).hex(),
                "proof": proof,
                "serviceEndorsements": [],
                "signature": base64.b64encode(signature).decode(),
            },
            "state": "Ready",
            "transactionId": f"2.{index + 1}",
        }


@dataclass(kw_only=True)
class Transparency:
    """A transparency service; `running` is how often a registration is still running, 0 answers at once."""

    alg: str = "ES384"
    running: int = 0
    issued: int | None = int(NOW.timestamp())
    statements: list[bytes] = field(default_factory=list)
    falsify: Callable[[bytes], bytes] = lambda receipt: receipt
    location: str = "https://127.0.0.1/entries/{entry}"

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP384R1() if self.alg == "ES384" else ec.SECP256R1())
        self.private_pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public_pem = public_pem(self.key)
        self._looks: dict[str, int] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path == "entries" and request.method == "POST":
            assert request.headers["Content-Type"] == "application/cose"
            self.statements.append(await request.read())
            index = len(self.statements) - 1
            if self.running:
                return web.Response(status=303, headers={"Location": self.location.format(entry=index)})
            return web.Response(status=201, body=self.receipt(index), content_type="application/cose")
        entry = path.removeprefix("entries/")
        self._looks[entry] = self._looks.get(entry, 0) + 1
        if self._looks[entry] <= self.running:
            return web.Response(status=302, headers={"Location": str(request.url), "Retry-After": "0"})
        return web.Response(body=self.receipt(int(entry)), content_type="application/cose")

    def receipt(self, index: int) -> bytes:
        entries = [each.hex() for each in (b"another's", *self.statements)]
        return self.falsify(
            build_receipt(
                leaf_entry_hex=entries[index + 1],
                leaf_index=index + 1,
                tree_entries_hex=entries,
                alg=self.alg,
                log_private_key_pem=self.private_pem,
                iss="https://ts.example",
                sub="cji-worker/worker-1",
                kid=b"ts",
                iat=self.issued,
            )
        )


@dataclass(kw_only=True)
class Services:
    """All three behind one port, and the faults that the next requests meet, each after `skip` good ones."""

    url: str
    blobs: Blobs
    ledger: Ledger
    transparency: Transparency
    authority: Authority
    faults: list[Fault] = field(default_factory=list)
    skip: int = 0
    requests: list[str] = field(default_factory=list)
    challenge: str = ""

    def reset(self) -> None:
        """Forget everything but the authority."""
        self.blobs, self.ledger = Blobs(), Ledger(service=self.authority)
        self.transparency = Transparency(alg=self.transparency.alg)
        self.faults, self.skip, self.requests, self.challenge = [], 0, [], ""


@contextlib.contextmanager
def services(folder: Path, *, alg: str = "ES384") -> Iterator[Services]:
    """Serve in a thread until the block ends."""
    authority = Authority(name="ledger service")
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "tls.pem").write_text(authority.issue("127.0.0.1", key.public_key()))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    found = Services(
        url="",
        blobs=Blobs(),
        ledger=Ledger(service=authority),
        transparency=Transparency(alg=alg),
        authority=authority,
    )
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        app = web.Application(client_max_size=1 << 20)
        for path, service in (("blob", "blobs"), ("acl/app", "ledger"), ("ts", "transparency")):
            app.router.add_route("*", f"/{path}/{{path:.*}}", _faulty(found, service))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        found.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    def run() -> None:
        loop.run_until_complete(main())
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _faulty(found: Services, service: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        handler: Handler = getattr(found, service).handle
        found.requests.append(f"{request.method} {request.path}")
        if found.faults and found.skip:
            found.skip -= 1
        elif found.faults:
            return await _fault(found.faults.pop(0), request, handler, found.challenge)
        return await handler(request)

    return handle


async def _fault(fault: Fault, request: web.Request, handler: Handler, challenge: str) -> web.StreamResponse:
    if fault.isdigit():
        headers = {"Retry-After": "7"} if fault == "429" else {}
        if challenge:
            headers["WWW-Authenticate"] = challenge
        return web.Response(status=int(fault), headers=headers)
    if fault == "redirect":
        return web.Response(status=307, headers={"Location": f"{request.url.origin()}/ts/elsewhere"})
    if fault == "garbage":
        return web.Response(body=b"\x00" * 100, content_type="application/octet-stream")
    if fault == "gzip":
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    if fault == "lost":  # it is done, and nobody hears of it
        await handler(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    sizes = {"cut": 1000, "slow": 1000, "huge": 100 << 20}
    response = web.StreamResponse(headers={"Content-Length": str(sizes[fault])})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            await response.write(b" " * (1 << 20) if fault == "huge" else b" ")
            if fault == "cut":
                break
            await asyncio.sleep(0.1 if fault == "slow" else 0)
    assert request.transport is not None
    request.transport.abort()
    return response


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _blob_error(status: int, code: str) -> web.Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return web.Response(status=status, text=body, content_type="application/xml", headers={"x-ms-error-code": code})


def _ledger_error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": "no"}}, status=status)
