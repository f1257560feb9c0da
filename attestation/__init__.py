"""Attestation and key release on Azure confidential VMs: evidence, verdict, key. Knows nothing of jobs or records."""
