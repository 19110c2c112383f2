"""How far long work is, and how long it still takes."""
import sys
import time

_EVERY = 2.0


class Progress:
    """Lines on standard error, one in two seconds.

    Args:
        count: of all images; None where nobody knows.
    """

    def __init__(self, count: int | None) -> None:
        self.done, self._count = 0, count
        self._start = self._shown = time.perf_counter()

    def step(self) -> None:
        """Count an image."""
        self.done += 1
        now = time.perf_counter()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        of = '' if self._count is None else f'/{self._count}'
        left = ''
        if self._count is not None:
            left = f', {max(0, self._count - self.done) / self.rate():.0f} s left'
        print(f'{self.done}{of} images, {self.rate():.1f} a second{left}', file=sys.stderr)

    def rate(self) -> float:
        """Images a second."""
        return self.done / max(time.perf_counter() - self._start, 1e-9)
