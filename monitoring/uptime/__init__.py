"""Availability: which target was up, when, and for how much of the time anybody looked."""
