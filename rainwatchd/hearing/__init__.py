"""From sound in the ring to scored windows.

Chunks and gaps of samples come in; windows with one score a class go out.
"""
