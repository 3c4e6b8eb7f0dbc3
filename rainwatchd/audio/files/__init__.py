"""What recorders leave on a card, made ready for libsndfile: how far the sound really goes, where
it goes on behind its end, and when it was recorded.

A recording is a sequence of `Part`s. Most have one, the whole file as it is. Where a header is
wrong about the length, a right one takes its place in memory; the file is never changed.
"""
