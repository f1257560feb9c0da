"""The values of a configuration that only `attestation` can check, checked before a process of a worker starts."""

import msgspec

from cji_attestation import AttestationError, Trust
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.release.keyspec import locate
from cji_attestation.trust import provider_endpoint
from cji_core.command.findings import NotOk
from cji_core.documents import convert
from cji_core.format.configuration.worker import Config
from cji_worker.keyholder.key_specs import key_specs


def reference_values(config: Config) -> ReferenceValues:
    """The reference values of a configuration. Raises NotOk."""
    try:
        reference = convert(config.attestation.values(), ReferenceValues, str_keys=True)
        check_reference(reference)
    except msgspec.ValidationError as error:
        raise NotOk(f"attestation.reference_values: {error}", "docs/configuration.md lists its keys.") from error
    except AttestationError as error:
        raise NotOk(str(error), error.remedy) from error
    return reference


def check_endpoints(config: Config, trust: Trust) -> None:
    """Raise NotOk unless the provider, the keys and the region are those of this cloud; nothing is dialled."""
    try:
        provider_endpoint(trust, config.attestation.maa_url)
    except AttestationError as error:
        found = f"attestation.maa_url: {config.attestation.maa_url} is not a provider of {trust.name}"
        raise NotOk(found, "Use a host of this cloud: no other is ever dialled.") from error
    for key in key_specs(config).values():
        try:
            locate(key, trust=trust)
        except AttestationError as error:
            found = f"[[keys]]: {key.kek_id} cannot be used ({error.check})"
            raise NotOk(found, f"Give the id of a key of {trust.name} with its version, and its pins.") from error
    if config.worker.region not in trust.regions:
        known = ", ".join(trust.regions)
        raise NotOk(f"worker.region: {config.worker.region} is not a region of {trust.name}", f"Known: {known}.")
