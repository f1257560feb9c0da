"""For operators at their desk: policies, advisories, bundles, deployments."""
