"""The config inside a checkpoint is not run.

A config is a program: building a model from the one in a checkpoint runs what the file says
(``type='subprocess.getoutput'``), weights-only loading or not.
"""
from collections.abc import Callable
from typing import Any

from mmengine.infer.infer import BaseInferencer

from .checkpoint_errors import UnsafeCheckpointError
from .wrapping import wrap


def needed() -> bool:
    """Whether mmengine's inferencers make a config of text."""
    return 'fromstring' in _innermost(BaseInferencer._init_model).__code__.co_names


def install() -> None:
    """Have the inferencers ask for a config file. Calling it again changes nothing."""
    wrap(BaseInferencer, '_init_model', _refuse_config_of_file)


def _innermost(function: Callable) -> Callable:
    while hasattr(function, '__wrapped__'):
        function = function.__wrapped__
    return function


def _refuse_config_of_file(init_model: Callable) -> Callable:
    def checked(self: Any, cfg: Any, weights: str | None, device: str = 'cpu') -> Any:
        if not cfg:
            raise UnsafeCheckpointError(
                f'no config is given for {weights}. The one inside a checkpoint is not used, '
                'because a config can run code: pass the config file as `model`.')
        return init_model(self, cfg, weights, device)
    return checked
