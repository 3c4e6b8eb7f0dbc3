"""The connection to the broker: who the device is to it, and when it is tried again."""
