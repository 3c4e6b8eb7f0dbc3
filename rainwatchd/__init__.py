"""Hears chainsaws, engines and storms in rainforest audio and reports them over MQTT."""

__version__ = "0.1.0"
