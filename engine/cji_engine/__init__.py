"""Runs a job in parts over many machines with Dask, outside the trust boundary: it moves names and sizes, no records.

The scheduler, the engine's workers and the conductor have no key and no access to Blob Storage. A worker of the engine
hands the name of a task to the fleet process of its node over a Unix socket, and returns what that answers: digests,
sizes and times. Anyone who takes over the engine can delay jobs and see names, sizes and times.

Dask unpickles what its peers send, by design, before a role can be checked: anyone who holds any certificate of the
engine runs code as the engine's users, and as the user of the conductor. Those users must have no access to records and
keys; the units in deploy/systemd see to that for scheduler and workers. `roles` limits mistakes, not attackers.

`messages`, `estimate` and `conductor` need no Dask; `roles`, `nodes` and `cluster` are what Dask runs.
"""
