"""The probe: a process that answers Azure whether this worker admits jobs, and handles Azure's scheduled events.

    status socket ──▶ readiness ──▶ GET /ready: 200 or 503, for the load balancer and for rolling upgrades
    metadata service ──▶ notice ──▶ the file `terminate`, and 503 from then on; drained ──▶ the event is approved

* `notice` reads Azure's scheduled events: is this machine to be rebooted, moved or deleted?
* `server` answers one path, and is bounded in what a client can make it hold.
* `process` puts both together for `cji probe`.

The file starts `cji-drain.service`, by systemd: it stops fleet process and worker, which drain. The probe itself has a
user of its own, no key, and no right to stop anything. Once the machine has drained it asks the broker to approve the
event, so that Azure does not wait for the rest of the notice; one that deletes the machine only once its trail is
delivered, too. The broker looks at event and drain itself, and refuses what is not due.
"""
