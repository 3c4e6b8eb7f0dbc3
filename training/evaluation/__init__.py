"""How good a model is, and which thresholds it gets.

A model and held-out clips come in; figures, rules and the card go out.
"""
