"""The agency's log, a witness, and a monitor: servers and clients over the formats and rules of `cji_core.tlog`."""
