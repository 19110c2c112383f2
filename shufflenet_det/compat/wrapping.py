"""Putting a function around one of another library, once."""
import functools
from collections.abc import Callable
from typing import Any

_MARK = '_wrapped_by_shufflenet_det'


def wrap(owner: Any, name: str, wrapper: Callable[[Callable], Callable]) -> None:
    """Replace ``owner.name`` by ``wrapper(owner.name)``.

    A second call changes nothing. Where this package was imported anew, what its earlier import
    put there is replaced, not wrapped; what others have put around it since stays.
    """
    present = getattr(owner, name)
    # functools.wraps copies attributes: a function of others around ours has the mark, too
    itself, original, by = getattr(present, _MARK, (None, present, None))
    if itself not in (None, present) or by is wrapper:
        return
    ours = functools.wraps(original)(wrapper(original))
    setattr(ours, _MARK, (ours, original, wrapper))
    setattr(owner, name, ours)
