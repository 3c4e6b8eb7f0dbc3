"""Recordings instead of a microphone, through the same code from the ring on.

Files and folders come in; tables, JSON lines, scores and pictures go out.
"""
