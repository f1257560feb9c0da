"""Operation of a running worker: its state for the operator, and a reload of its files.

* `__main__` is the control process: it alone can read the operator's files after the start, and serves `door`, the
  control socket. It has no network, no key of a customer and no right to write.
* `operations` is the supervisor's part; `reload` is the course of a reload, `status` the operator's view.
"""
