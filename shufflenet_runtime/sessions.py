"""What every engine makes of an exported network."""
import threading
from collections.abc import Callable

import numpy as np

Outputs = dict[str, np.ndarray]
"""Results by name."""

Session = Callable[[np.ndarray], Outputs]
"""Images (N, 3, H, W) of uint8 to outputs; threads may call it at the same time."""

Shape = tuple[int, int, int, int]
"""Number of images, channels, height, width."""


def for_other_shapes(session: Session, shape: Shape, load: Callable[[], Session]) -> Session:
    """A session of any images, from one that takes images of one shape only.

    Args:
        session: takes images of ``shape``.
        shape: of most images.
        load: a session for all others. It is called when the first of them comes.
    """
    lock = threading.Lock()
    others: list[Session] = []

    def run(images: np.ndarray) -> Outputs:
        if images.shape == shape:
            return session(images)
        with lock:
            if not others:
                others.append(load())
        return others[0](images)

    return run
