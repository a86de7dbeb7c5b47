"""Grafana dashboards, written as plain JSON by a small generator of our own.

Grafana's SDK takes 5 MB, is marked alpha, and by a plain install gives the schema of the oldest version that it knows; what
we need of the format is a screenful. `python -m monitoring.boards` writes `monitoring/dashboards/*.json` anew; a test holds
the files against this code, and every query of every panel against a Prometheus that scrapes a real exporter.
"""
