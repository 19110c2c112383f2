"""Several layers on CPU as one function, with the same results.

What is here takes tensors and settings, and knows none of the networks that call it.
"""
from .conditions import infers_here, is_observed, is_plain, trains_here
from .units import Norm, Parameters, Unit, train_unit

__all__ = [
    'Norm', 'Parameters', 'Unit', 'infers_here', 'is_observed', 'is_plain', 'train_unit',
    'trains_here',
]  # fmt: skip
