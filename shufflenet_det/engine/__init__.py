"""Running: hooks and wrappers registered with MMEngine, and what the command line tools share."""
from .amp import CPUAmpOptimWrapper
from .hooks import ConsistencyHook

__all__ = ['CPUAmpOptimWrapper', 'ConsistencyHook']
