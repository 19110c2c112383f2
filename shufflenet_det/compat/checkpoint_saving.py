"""What is to be written into each checkpoint that a Runner saves."""
from collections.abc import Callable
from typing import Any

from mmengine.runner import FlexibleRunner, Runner
from torch import nn

from .wrapping import wrap

before_save: list[Callable[[nn.Module, dict], None]] = []
"""Called with the model and the checkpoint of it, before the hooks of the run."""


def needed() -> bool:
    """MMEngine asks hooks only, and which hooks a run has, and in which order, is the user's."""
    return True


def install() -> None:
    """Have every Runner call :data:`before_save`. Calling it again changes nothing."""
    for runner in (Runner, FlexibleRunner):
        wrap(runner, 'call_hook', _calling)


def _calling(call_hook: Callable) -> Callable:
    def call_and_write(self: Any, fn_name: str, **kwargs: Any) -> None:
        if fn_name == 'before_save_checkpoint':
            for write in before_save:
                write(self.model, kwargs['checkpoint'])
        call_hook(self, fn_name, **kwargs)

    return call_and_write
