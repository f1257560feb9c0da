"""AMD's key distribution service: GET /vcek/v1/{product}/cert_chain and /vcek/v1/{product}/crl (AMD 57230).

The chain is PEM, ASK before ARK; the CRL is DER, signed by the ARK again for each answer.
"""

import datetime
from typing import Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from cji_simulator.amd import PRODUCT
from cji_simulator.certificates import pem
from cji_simulator.faults import Faults, Service
from cji_simulator.http_faults import middleware
from cji_simulator.roots import Roots

__all__ = ["KeyDistributionService"]

_LIFE: Final = datetime.timedelta(days=365)
_AGE: Final = datetime.timedelta(days=1)  # AMD publishes rarely: a list is older than the evidence beside it
_OTHER_ASK: Final = 131073  # AMD's own list for Genoa revokes it; no chain here has it


class KeyDistributionService:
    """AMD's public service, for the one product that there is."""

    def __init__(self, *, roots: Roots, faults: Faults) -> None:
        self._roots = roots
        self._faults = faults

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.AMD, self._faults)])
        app.add_routes(
            [web.get(f"/vcek/v1/{PRODUCT}/cert_chain", self._chain), web.get(f"/vcek/v1/{PRODUCT}/crl", self._crl)]
        )
        return app

    async def _chain(self, _: web.Request) -> web.Response:
        chain = pem(self._roots.ask.certificate) + pem(self._roots.ark.certificate)
        return web.Response(body=chain, content_type="application/x-pem-file")

    async def _crl(self, _: web.Request) -> web.Response:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - _AGE
        revoked = x509.RevokedCertificateBuilder().serial_number(_OTHER_ASK).revocation_date(now).build()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._roots.ark.certificate.subject)
            .last_update(now)
            .next_update(now + _LIFE)
            .add_revoked_certificate(revoked)
        )
        pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
        signed = builder.sign(self._roots.ark.rsa(), hashes.SHA384(), rsa_padding=pss)
        return web.Response(body=signed.public_bytes(Encoding.DER), content_type="application/pkix-crl")
