"""Training examples and test streams mixed from labelled clips.

Clips come in; mixtures at known ratios with their labels go out.
"""
