"""`match_orders`: the events that orders of a court to seal or expunge are about."""
