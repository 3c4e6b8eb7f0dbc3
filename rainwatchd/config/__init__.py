"""The one YAML file, and what can be set in it.

Text and command-line settings come in; one frozen configuration or one error goes out.
"""
