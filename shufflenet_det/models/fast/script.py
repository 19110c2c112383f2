"""Functions compiled by TorchScript, where this torch can do that."""
import warnings
from collections.abc import Callable
from functools import cache

import torch


@cache
def compiled(function: Callable) -> Callable:
    """The function as TorchScript, which runs without Python between its operators, or itself.

    A function of fifty small operators waits for Python longer than it computes. All that it needs
    are its arguments, tensors and numbers; its types and the functions that it calls are those that
    TorchScript knows.
    """
    with warnings.catch_warnings():
        # torch means to replace TorchScript some day
        warnings.simplefilter('ignore')
        try:
            return torch.jit.script(function)
        except (RuntimeError, NotImplementedError, OSError, torch.jit.frontend.FrontendError):
            # a torch without it or with less of Python in it, or no source files
            return function
