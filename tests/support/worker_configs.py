"""A worker's configuration as an operator writes it."""

from typing import Final

__all__ = ["WORKER_CONFIG"]

WORKER_CONFIG: Final = f"""cloud = "azure-us"
policy_file = "policy.toml"
audit_file = "/var/lib/cji/audit.jsonl"
[worker]
id = "worker-1"
audience = "pool"
region = "eastus"
[listen]
certificate = "server.pem"
private_key = "server.key"
client_roots = "roots.pem"
[attestation]
maa_url = "https://cji.eus.attest.azure.net"
reference_values = {{ products = ["Genoa"] }}
[[keys]]
kek_id = "https://v.vault.azure.net/keys/cmk/{"ab" * 16}"
public_thumbprint = "{"A" * 43}"
"""
