"""The daemon on its device, under systemd; read `daemon` first.

A configuration comes in; listening, its status and its health go out.
"""
