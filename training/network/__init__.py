"""The network: its shape, its training and its export.

Log-mel examples come in; one model file goes out.
"""
