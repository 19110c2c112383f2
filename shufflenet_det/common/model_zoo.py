"""Configs of other packages, found without reading their model zoo again and again.

For each ``mmdet::`` name, in a command or in ``_base_``, mmengine reads all 100 metafiles of
MMDetection: a third of a second, four times for one detector of ours. Inside of
:func:`remembered` it reads a metafile once, and again only where the file has changed.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import mmengine.config.utils as mmengine_utils
from mmengine.fileio import load


def load_metafile(path: str) -> dict:
    """What ``mmengine.fileio.load`` returns; the same object for a file that has not changed."""
    status = os.stat(path)
    return _load(path, status.st_mtime_ns, status.st_size)


@cache
def _load(path: str, modified_ns: int, size: int) -> dict:
    return load(path)


@contextmanager
def remembered() -> Iterator[None]:
    """Let mmengine remember the metafiles that it reads meanwhile."""
    before = mmengine_utils.load
    mmengine_utils.load = load_metafile
    try:
        yield
    finally:
        mmengine_utils.load = before
