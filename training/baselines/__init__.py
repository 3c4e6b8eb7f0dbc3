"""What the shipped model is measured against, on the same streams."""
