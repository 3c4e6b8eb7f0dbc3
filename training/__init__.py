"""Builds the model that the daemon runs: labelled recordings in, one ONNX file out."""
