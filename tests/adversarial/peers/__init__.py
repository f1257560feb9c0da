"""Hostile neighbours: small programs that attack a real worker the way a peer could."""
