"""What is wrong with data, told all at once."""
from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import DataError, shorten


@dataclass
class Faults:
    """What is wrong, gathered by kind, so that one run names everything that is to be mended."""

    kinds: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, which: str) -> None:
        """Note a fault; ``kind`` says what is wrong and the remedy."""
        self.kinds.setdefault(kind, []).append(which)

    def check(self, source: object) -> None:
        """Raise :class:`DataError`, with a line for each kind of fault, if there is any."""
        if self.kinds:
            lines = [
                f'\n- {len(which)} x {kind}: {shorten(which, 5)}'
                for kind, which in self.kinds.items()
            ]
            raise DataError(f'{source} cannot be used as it is:' + ''.join(lines))


def repeated(values: Sequence) -> list:
    """The values that come more than once, each once, in order."""
    seen, twice = set(), {}
    for value in values:
        if value in seen:
            twice[value] = None
        seen.add(value)
    return list(twice)
