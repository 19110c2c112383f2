"""Whether ``deploy.json`` says what a runtime can do. It is data from a stranger."""
import math
from collections.abc import Mapping
from typing import Any

from .errors import DataError
from .precision import FLOAT, PRECISIONS
from .resizing import INTERPOLATIONS

# more than any image has that fits into memory
_LARGEST = 32768
_KINDS = ('detector', 'classifier', 'backbone')
_RULES = {
    'fit': ('long', 'short'), 'exact': ('width', 'height'), 'crop': ('short', 'crop'), 'keep': ()
}  # fmt: skip


def check_description(content: Mapping[str, Any]) -> None:
    """Refuse a description that cannot be.

    Raises:
        DataError: names the key and what it must be.
    """
    for key in ('input', 'engines', 'files'):
        _require(isinstance(content.get(key), Mapping), key, 'an object')
    for key in ('labels', 'resize'):
        _require(key in content, key, 'given, or null')
    _require(content.get('kind') in _KINDS, 'kind', f'one of {", ".join(_KINDS)}')
    _require(isinstance(content.get('name'), str), 'name', 'a text')
    labels = content.get('labels')
    _require(labels is None or _are_texts(labels), 'labels', 'a list of names, or null')
    _require(_are_texts(content.get('outputs')), 'outputs', 'a list of names')
    _check_input(content['input'])
    _check_resize(content.get('resize'))
    if content['kind'] == 'detector':
        thresholds = content.get('thresholds')
        score = thresholds.get('score') if isinstance(thresholds, Mapping) else None
        _require(_is_number(score) and 0 <= score <= 1, 'thresholds.score', 'between 0 and 1')
    for name, engine in content['engines'].items():
        files = engine.get('files') if isinstance(engine, Mapping) else None
        where = f'engines.{name}.files'
        _require(_are_texts(files) and files, where, 'a list of names')
        _require(all(map(_is_plain, files)), where, 'names of files in this folder')
        known = engine.get('precision', FLOAT) in PRECISIONS
        _require(known, f'engines.{name}.precision', f'one of {", ".join(PRECISIONS)}')


def _check_input(values: Mapping[str, Any]) -> None:
    _require(values.get('channels') in ('rgb', 'bgr'), 'input.channels', 'rgb or bgr')
    for key in ('batch', 'height', 'width'):
        size = values.get(key)
        _require(size is None or _is_size(size), f'input.{key}', f'null, or 1 to {_LARGEST}')


def _check_resize(resize: Any) -> None:
    if resize is None:
        return
    rule = resize.get('rule') if isinstance(resize, Mapping) else None
    known = isinstance(rule, str) and rule in _RULES
    _require(known, 'resize.rule', f'one of {", ".join(_RULES)}')
    for key in _RULES[rule]:
        _require(_is_size(resize.get(key)), f'resize.{key}', f'a number from 1 to {_LARGEST}')
    by = resize.get('interpolation', 'bilinear')
    known = isinstance(by, str) and by in INTERPOLATIONS
    _require(known, 'resize.interpolation', f'one of {", ".join(INTERPOLATIONS)}')
    if rule == 'crop':
        fits = resize['crop'] <= resize['short']
        _require(fits, 'resize.crop', 'at most resize.short')
    pad = resize.get('pad')
    if pad is None:
        return
    _require(isinstance(pad, Mapping), 'resize.pad', 'an object')
    values = pad.get('values')
    known = isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))
    _require(known, 'resize.pad.values', 'three numbers')
    for key in ('width', 'height', 'divisor'):
        size = pad.get(key)
        _require(size is None or _is_size(size), f'resize.pad.{key}', f'null, or 1 to {_LARGEST}')


def _require(holds: bool, key: str, what: str) -> None:
    if not holds:
        raise DataError(f'{key} must be {what}')


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return _is_number(value) and 1 <= value <= _LARGEST and value == int(value)


def _is_plain(name: str) -> bool:
    return 0 < len(name) < 256 and name not in ('.', '..') and not set(name) & set('/\\\0')
