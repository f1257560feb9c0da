"""The weekly review of audit trails (CJISSECPOL AU-6): a report for a reviewer, and the signatures that follow it.

Only whoever audits imports this room; no process of a worker does.
"""
