"""What every engine makes of an exported network."""
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .precision import FLOAT

Outputs = dict[str, np.ndarray]
"""Results by name."""

Session = Callable[[np.ndarray], Outputs]
"""Images (N, 3, H, W) of uint8 to outputs; threads may call it at the same time."""

Shape = tuple[int, int, int, int]
"""Number of images, channels, height, width."""


@dataclass(frozen=True)
class Setting:
    """How a network is loaded.

    Attributes:
        threads: of one inference.
        workers: most threads that will call the session at the same time.
        precision: one of :data:`.precision.PRECISIONS`.
        shape: of all images; None if they differ.
    """

    threads: int = 1
    workers: int = 1
    precision: str = FLOAT
    shape: Shape | None = None


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
