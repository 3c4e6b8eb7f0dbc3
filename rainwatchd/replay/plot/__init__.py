"""Pictures of recordings; the only package that knows matplotlib.

The windows and detections of a replay come in; a file for each recording goes out.
"""
