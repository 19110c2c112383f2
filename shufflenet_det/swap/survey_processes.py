"""What surveys of all of MMDetection's configs share: which these are, and processes for them."""
import contextlib
import gc
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import mmdet
import torch
import torch.distributed as dist
from mmengine.logging import MMLogger

from ..common.processes import end_with

PACKAGED = Path(mmdet.__file__).resolve().parent / '.mim'
"""MMDetection's configs lie here; some name files relative to this folder."""


def shipped_configs() -> list[str]:
    """The configs of MMDetection, without those that are only there to be inherited."""
    root = PACKAGED / 'configs'
    names = (path.relative_to(root) for path in root.rglob('*.py'))
    return sorted(n.as_posix() for n in names if '_base_' not in n.parts and n.parts[0] != 'common')


def portable(reason: str) -> str:
    """A reason without the folder of this machine, of not too many letters."""
    return reason.replace(f'{PACKAGED}/', '')[:400]


def workers(jobs: int) -> ProcessPoolExecutor:
    """Processes of one thread each, for code of MMDetection that says much."""
    return ProcessPoolExecutor(
        jobs, mp_context=get_context('spawn'), initializer=_start, initargs=(os.getpid(),)
    )


def results(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    jobs: int,
    killed: Callable[[tuple, str], Any],
) -> Iterator[tuple[tuple, Any]]:
    """Run tasks in fresh processes: memory that large models took apart is not given back.

    Args:
        function: what to call, without what it prints.
        tasks: its arguments.
        jobs: processes.
        killed: result for a task whose process was killed, of the task and the reason.

    Yields:
        Tasks and their results, in order.
    """
    left = list(tasks)
    try:
        with workers(jobs) as pool:
            for future in [pool.submit(_quietly, function, *task) for task in tasks]:
                result = future.result()
                yield left.pop(0), result
    except BrokenProcessPool:
        if jobs == 1:
            # in turn, so it was the first that is left; with all the memory for itself
            task = left.pop(0)
            yield task, killed(task, 'the process was killed, as it is when memory runs out')
        yield from results(function, left, 1, killed)


def _start(parent: int) -> None:
    end_with(parent)
    os.chdir(PACKAGED)
    # initialisation logs a line for each parameter
    MMLogger.get_instance('survey', log_level='ERROR')
    torch.set_num_threads(1)
    # for which layers ask that are built for several processes (MMSyncBN)
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)


def _quietly(function: Callable[..., Any], *args: Any) -> Any:
    warnings.simplefilter('ignore')
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = function(*args)
    # models hold references to themselves; waiting for the collector takes gigabytes
    gc.collect()
    return result
