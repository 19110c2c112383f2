"""The machine that a figure was measured on, and what of it a measurement uses."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..common.errors import ConfigError
from ..common.machine import machine
from ..compat.stack import distributions
from ..evaluation.report import versions

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16}


def surroundings(device: str) -> dict:
    """What a figure depends on beside the code: machine, instruction set, GPU, versions."""
    about = machine() | dict(instructions=torch.backends.cpu.get_cpu_capability())
    if device == 'cuda':
        about |= dict(gpu=torch.cuda.get_device_name(), cuda=torch.version.cuda)
    return dict(machine=about, versions=versions() | distributions(('mmpretrain',)))


def check_device(device: str) -> None:
    """Raise :class:`ConfigError` if there is no such device."""
    if device == 'cuda' and not torch.cuda.is_available():
        raise ConfigError('--device cuda: PyTorch finds no CUDA device here. Use --device cpu.')


def synchronise(device: str) -> None:
    """Wait until all that was started on the device is done."""
    if device == 'cuda':
        torch.cuda.synchronize()


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Run PyTorch's operators on this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
