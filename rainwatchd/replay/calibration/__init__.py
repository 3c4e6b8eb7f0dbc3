"""Thresholds for one site, from hours of its own sound.

Recordings come in; a piece of configuration, what it promises and what it costs go out.
"""
