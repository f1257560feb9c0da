"""Packages of `cji` for desks: a .deb, and a zip for Windows that needs no administrator."""
