"""The probe: a process that answers Azure whether this worker admits jobs, and notices that its machine is to end.

    status socket ──▶ readiness ──▶ GET /ready: 200 or 503, for the load balancer and for rolling upgrades
    metadata service ──▶ notice ──▶ the file `terminate`, and 503 from then on

* `notice` reads Azure's scheduled events: is this machine to be deleted or evicted?
* `server` answers one path, and is bounded in what a client can make it hold.
* `process` puts both together for `cji probe`.

The file starts `cji-drain.service`, by systemd: it stops fleet process and worker, which drain. The probe itself has a
user of its own, no key, no right to stop anything, and never approves an event early: the rest of Azure's notice is for
the delivery of the trail.
"""
