"""Tells people what turned: which trouble goes to which channel, when, once. `letters` is pure; `round_` keeps and sends.

    troubles (read from statuses) + Book (what was told already) -> letters -> intent on disk -> sent -> result on disk
"""
