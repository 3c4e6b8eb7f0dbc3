"""From labelled recordings to one model file; runs from the checkout.

Recordings come in; a model, its card and its figures go out.
"""
