"""Random faults and malformed input, for as long as one likes: ``python -m tests.torture``.

A torment is a module of this package with a context manager ``torment(folder)``: it sets up what
its trials share and yields a function that makes one trial from a seeded `random.Random`. A trial
that ends well returns; one that finds a fault raises.
"""
