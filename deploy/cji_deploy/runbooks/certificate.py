"""`python -m cji_deploy.runbooks.certificate HOST:PORT --ca FILE`: until when the certificate of a door is valid.

The handshake verifies the certificate against the authority and the name. The door also requires a certificate of its
caller; in TLS 1.3 that is checked after this side has seen the door's.
"""

import argparse
import json
import socket
import ssl
import sys
import time
from typing import Final

__all__ = ["main", "valid_until"]

_SECONDS: Final = 20.0
_DAY: Final = 86_400


def valid_until(target: str, ca: str) -> float:
    """The end of the certificate, seconds since 1970. Raises OSError, which includes ssl.SSLError."""
    host, _, port = target.rpartition(":")
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        certificate = secured.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))


def main(arguments: list[str]) -> int:
    """Exit status: 0 valid for the days, 1 not, 4 no answer."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.runbooks.certificate")
    parser.add_argument("target", metavar="HOST:PORT")
    parser.add_argument("--ca", required=True, help="PEM file of the authority")
    parser.add_argument("--days", type=float, default=0.0, help="days for which it must be valid")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        end = valid_until(options.target, options.ca)
    except (OSError, ValueError) as error:
        print(f"{options.target}: {error}", file=sys.stderr)
        return 4
    days = (end - time.time()) / _DAY
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    print(json.dumps({"not_after": text, "days": round(days, 2)}) if options.json else f"valid until {text}")
    return 0 if days >= options.days else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
