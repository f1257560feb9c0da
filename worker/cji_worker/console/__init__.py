"""The console: a process of its own that shows a worker's state to people and to monitoring, and can change nothing.

    status socket ──▶ observer ──▶ view ──▶ page        GET /          for people, live
    state files   ──▶                  ├──▶ exposition  GET /metrics   for Prometheus
    trail (optional) ──▶ spans ──▶     ├──▶ telemetry   OTLP/HTTP      for a collector on this machine
                                       └──▶ rows        Azure Monitor  a row each minute, by `sending`

* `observer` asks the worker and makes a `View`; everything else is a function of a view.
* `series` is the one table of metrics: `exposition`, `telemetry` and `rows` write the same. Its labels are closed sets.
* `expiry` is the one table of what expires, `diagnosis` has the causes for which no job is admitted, and what helps.
* `http` is the small server; `process`, which shows, and `sending` put the parts together for `cji console`.

It has a user of its own and no key. One that shows has no network but loopback; one that sends reaches Azure Monitor by
an identity of its own, accepts no connection and reads no trail. It learns no record, and from the status socket no
job, submitter or person. Only traces need the trail, which names them; a span takes its operations, suite and Reason.
"""
