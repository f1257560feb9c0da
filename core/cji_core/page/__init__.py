"""Pages for people: one HTML file, without a network, for screens and for paper.

`markup` is the one design of all pages, `charts` draws in it. Pages of records are in `cji_client.report`, pages about
the worker and its audit trail are beside what they show.
"""
