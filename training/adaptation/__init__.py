"""A site's own labels into the model that hears there, without TensorFlow.

Judged clips and a model file come in; a model file whose last layer was fitted again goes out.
"""
