"""Running: hooks and wrappers registered with MMEngine, and what the command line tools share."""
from .amp import CPUAmpOptimWrapper
from .checkpoints import SafeCheckpointHook
from .deploy_hook import DeployHook
from .guards import FiniteLossHook, TerminationHook
from .hooks import ConsistencyHook
from .iteration_seed import IterationSeedHook
from .loops import ResumableEpochLoop, ResumableIterLoop
from .progress import ProgressHook
from .resume_hook import ResumeHook
from .show import ShowHook

__all__ = [
    'CPUAmpOptimWrapper', 'ConsistencyHook', 'DeployHook', 'FiniteLossHook', 'IterationSeedHook',
    'ProgressHook', 'ResumableEpochLoop', 'ResumableIterLoop', 'ResumeHook', 'SafeCheckpointHook',
    'ShowHook', 'TerminationHook',
]
