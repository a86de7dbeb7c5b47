"""Copies a public site, politely, into WARC 1.1 (ISO 28500): `python -m backup.crawl` is the staging step of `mirror`."""
