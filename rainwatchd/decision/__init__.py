"""From scores to events: smoothing, thresholds, and when it was by the clock.

Scored windows come in; onsets, updates and offsets with identity and UTC go out.
"""
