"""What every engine makes of an exported network."""
from collections.abc import Callable

import numpy as np

Outputs = dict[str, np.ndarray]
"""Results by name."""

Session = Callable[[np.ndarray], Outputs]
"""Images (N, 3, H, W) of uint8 to outputs; threads may call it at the same time."""
