"""Evidence of events on disk, within a quota.

Events and the sound around them come in; recordings, labels and pictures go out.
"""
