"""What the network is measured against: the article's pipeline and YAMNet.

The same streams come in; scores as a daemon would have them go out.
"""
