"""Weights in and out: what files of them hold and need, checked wherever they are loaded."""
from . import checking, public
from .checking import check_preprocessing, record_of
from .describe import Description, describe_checkpoint
from .preprocessing import Preprocessing, effective_preprocessing
from .record import RECORD_KEY, WeightsRecord

__all__ = [
    'Description',
    'Preprocessing',
    'RECORD_KEY',
    'WeightsRecord',
    'check_preprocessing',
    'describe_checkpoint',
    'effective_preprocessing',
    'install',
    'record_of',
]


def install() -> None:
    """Make mmengine compare what files need with the model, and know ``shufflenet://`` names."""
    checking.install()
    public.install()
