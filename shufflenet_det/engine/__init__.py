"""Running: hooks and wrappers registered with MMEngine, and what the command line tools share."""
from .amp import CPUAmpOptimWrapper
from .deploy_hook import DeployHook
from .hooks import ConsistencyHook
from .iteration_seed import IterationSeedHook
from .loops import ResumableIterLoop
from .progress import ProgressHook
from .show import ShowHook

__all__ = [
    'CPUAmpOptimWrapper', 'ConsistencyHook', 'DeployHook', 'IterationSeedHook', 'ProgressHook',
    'ResumableIterLoop', 'ShowHook',
]
