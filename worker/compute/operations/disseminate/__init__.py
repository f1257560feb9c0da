"""`disseminate`: what a recipient may have for a purpose, and the ledger of it."""
