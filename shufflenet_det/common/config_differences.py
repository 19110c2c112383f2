"""What two configs differ in, as lines to read and as a config to write."""
import math
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword

from mmengine.config import Config

_ABSENT = object()
_LINE, _INDENT = 100, 4


@dataclass(frozen=True)
class Change:
    """One setting that was added, changed or removed.

    Attributes:
        key: dotted name, as ``--cfg-options`` takes it.
        old, new: values as text; None for a setting that is not there.
    """

    key: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f'{self.key}: {self.new} (added)'
        if self.new is None:
            return f'{self.key}: {self.old} (removed)'
        return f'{self.key}: {self.old} -> {self.new}'


def differences(old: Config, new: Config) -> list[Change]:
    """Every setting in which two configs differ, in the order of the new one."""
    changes: list[Change] = []
    _compare(plain(old), plain(new), '', changes)
    return changes


def plain(cfg: Config) -> dict:
    """The settings of a config, without the marks that inheriting ``mmdet::`` leaves in it."""
    return _without_scopes(cfg.to_dict())


def _without_scopes(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_scopes(v) for k, v in value.items() if k != '_scope_'}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_without_scopes, value))
    return value


def _compare(old: dict, new: dict, prefix: str, changes: list[Change]) -> None:
    for key in [*new, *(k for k in old if k not in new)]:
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before is not _ABSENT and after is not _ABSENT and _same(before, after):
            continue
        name = f'{prefix}{key}'
        # a part of another type has settings of its own: they are not compared one by one
        if _is_same_kind(before, after):
            _compare(before, after, f'{name}.', changes)
        else:
            changes.append(Change(name, _shown(before), _shown(after)))


def _same(a: object, b: object) -> bool:
    return type(a) is type(b) and a == b


def _is_same_kind(old: object, new: object) -> bool:
    both = isinstance(old, Mapping) and isinstance(new, Mapping)
    return both and old.get('type') == new.get('type')


def _shown(value: object) -> str | None:
    return None if value is _ABSENT else as_code(value)


def overrides(old: dict, new: dict) -> dict:
    """The shortest dict that makes the new settings of the old ones when mmengine merges it.

    mmengine merges dicts key by key and replaces everything else; it cannot take a key away, but
    replaces a dict with ``_delete_=True`` as a whole.
    """
    result = {}
    for key, after in new.items():
        before = old.get(key, _ABSENT)
        if before is not _ABSENT and _same(before, after):
            continue
        if not isinstance(after, Mapping) or not isinstance(before, Mapping):
            result[key] = after
        elif _is_same_kind(before, after) and not set(before) - set(after):
            result[key] = overrides(before, after)
        else:
            result[key] = dict(_delete_=True, **after)
    return result


def as_code(value: object, room: float = math.inf, indent: int = 0) -> str:
    """A setting as Python, on one line where that has room.

    Args:
        value: dicts, lists, tuples and constants.
        room: columns of the line, without those in front of the value.
        indent: columns that following lines start with.
    """
    if isinstance(value, Mapping):
        named = all(isinstance(k, str) and k.isidentifier() and not iskeyword(k) for k in value)
        ends = ('dict(', ')') if named else ('{', '}')
        items = [(f'{k}=' if named else f'{k!r}: ', v) for k, v in value.items()]
    elif isinstance(value, (list, tuple)):
        ends = '[]' if isinstance(value, list) else ('(', ',)' if len(value) == 1 else ')')
        items = [('', v) for v in value]
    elif isinstance(value, float) and not math.isfinite(value):
        return f'float({str(value)!r})'
    else:
        return repr(value)
    line = ends[0] + ', '.join(name + as_code(v) for name, v in items) + ends[1]
    if len(line) <= room or not items:
        return line
    inner = indent + _INDENT
    lines = (
        f'{" " * inner}{name}{as_code(v, _LINE - inner - len(name) - 1, inner)},\n'
        for name, v in items
    )
    return f'{ends[0]}\n{"".join(lines)}{" " * indent}{ends[1].lstrip(",")}'
