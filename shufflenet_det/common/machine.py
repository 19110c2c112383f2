"""The machine that a figure was measured on."""
import os
import platform
from pathlib import Path


def machine() -> dict:
    """Name and number of the processors."""
    name = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
        name = next(iter(names), name)
    return dict(processor=name, cores=os.cpu_count())
