"""Microphones: found, opened, counted upon, and opened again."""
