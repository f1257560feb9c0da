"""For auditors: verify, search, prove, review, reconcile and hand over audit trails."""
