"""Key release policies, version 1.0.0: parsed strictly, written as the service writes them, evaluated on claims.

Grammar: Key Vault documentation, "Azure Key Vault secure key release policy grammar". `equals` is the only operator
that the service takes. A claim that is missing or not a scalar makes its condition false.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cji_simulator.errors import SimulatorError

__all__ = ["PolicyError", "ReleasePolicy"]

_VERSIONS: Final = ("1.0.0", "1.0")


class PolicyError(SimulatorError, ValueError):
    """Not a release policy."""

    code = "release-policy-invalid"
    remedy = "Correct the policy as the service documents it."


def _scalar(value: object) -> object:
    """Booleans and their names are one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _claim(claims: Mapping[str, Any], path: str) -> object:
    value: object = claims
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value if isinstance(value, str | int | float) else None


def _holds(condition: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    if "allOf" in condition:
        return all(_holds(inner, claims) for inner in condition["allOf"])
    if "anyOf" in condition:
        return any(_holds(inner, claims) for inner in condition["anyOf"])
    found = _claim(claims, condition["claim"])
    return found is not None and _scalar(found) == _scalar(condition["equals"])


def _check_condition(condition: object) -> None:
    match condition:
        case {"claim": str(), "equals": str() | bool() | int() | float(), **rest} if not rest:
            return
        case {"allOf": [_, *_] as inner, **rest} | {"anyOf": [_, *_] as inner, **rest} if not rest:
            for one in inner:
                _check_condition(one)
        case _:
            raise PolicyError("condition")


def _canonical_authority(authority: object) -> dict[str, Any]:
    match authority:
        case {"authority": str(url), **conditions} if len(conditions) == 1:
            _check_condition(conditions)
            if "claim" in conditions:
                raise PolicyError("authority")
            return {"authority": url, **{str(key): value for key, value in conditions.items()}}
        case _:
            raise PolicyError("authority")


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """A policy as the service keeps it."""

    encoded: bytes

    @classmethod
    def parse(cls, data: bytes) -> "ReleasePolicy":
        """Check and re-serialise: `version` first, `authority` before its conditions; raises PolicyError."""
        try:
            return cls(cls._canonical(json.loads(data)))
        except PolicyError:
            raise
        except (ValueError, RecursionError) as error:
            raise PolicyError("JSON") from error

    @staticmethod
    def _canonical(policy: object) -> bytes:
        match policy:
            case {"version": str(version), "anyOf": [_, *_] as authorities, **rest} if (
                version in _VERSIONS and not rest
            ):
                canonical = {"version": version, "anyOf": [_canonical_authority(one) for one in authorities]}
            case _:
                raise PolicyError("policy")
        return json.dumps(canonical, separators=(",", ":")).encode()

    def _authorities(self) -> list[dict[str, Any]]:
        authorities: list[dict[str, Any]] = json.loads(self.encoded)["anyOf"]
        return authorities

    def names(self, issuer: str) -> bool:
        """Whether `issuer` is an authority here; a trailing slash does not matter."""
        return any(one["authority"].rstrip("/") == issuer.rstrip("/") for one in self._authorities())

    def allows(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims of a verified token meet the conditions of their issuer."""
        issuer = str(claims["iss"]).rstrip("/")
        return any(
            one["authority"].rstrip("/") == issuer
            and _holds({k: v for k, v in one.items() if k != "authority"}, claims)
            for one in self._authorities()
        )
