"""Real data and weights beside the checkout; tests that need them skip where they are missing."""
import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get('SHUFFLENET_SHARED') or Path(__file__).resolve().parents[2] / 'shared')


def real(name: str) -> Path:
    """A file or folder of the real data, or a skip that says where it was looked for."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f'{path} is missing: set SHUFFLENET_SHARED to a folder that has {name}')
    return path
