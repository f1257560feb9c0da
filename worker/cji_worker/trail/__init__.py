"""The trail as its worker writes it: the file, the replay ledger, retention."""
