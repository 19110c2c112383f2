"""Weights in and out: what files of them hold and need, checked wherever they are loaded."""
from . import checking, public, recording
from .checking import check_preprocessing
from .describe import Description, describe_checkpoint
from .preprocessing import Preprocessing
from .record import RECORD_KEY, WeightsRecord
from .recording import record_of

__all__ = [
    'Description',
    'Preprocessing',
    'RECORD_KEY',
    'WeightsRecord',
    'check_preprocessing',
    'describe_checkpoint',
    'install',
    'record_of',
]


def install() -> None:
    """Record what weights need and hold models to it, where mmengine was changed to ask
    (:mod:`shufflenet_det.compat.changes`); let it know ``shufflenet://``."""
    recording.install()
    checking.install()
    public.install()
