"""What the post keeps: events, devices, verdicts and sounds.

Messages come in; pages of lists, tables and archives go out.
"""
