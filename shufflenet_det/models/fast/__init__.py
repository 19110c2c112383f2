"""Several layers on CPU as one function, in training and inference, with the same results."""
from .chain import train_units
from .conditions import (
    evaluates_as_function,
    every_module_is_observed,
    is_observed,
    trains_as_function,
    trains_here,
)
from .inference import run_deployed, run_evaluated
from .stem import stem_fits, train_stem

__all__ = [
    'evaluates_as_function', 'every_module_is_observed', 'is_observed', 'run_deployed',
    'run_evaluated', 'stem_fits', 'train_stem', 'train_units', 'trains_as_function', 'trains_here',
]  # fmt: skip
