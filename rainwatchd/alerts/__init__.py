"""From events to the broker, across outages and power cuts.

Detections, status and health come in; MQTT messages go out.
"""
