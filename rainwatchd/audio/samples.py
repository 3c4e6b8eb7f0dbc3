"""The numbers that sound is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""Samples, full scale 1.0, or what is computed of them."""
