"""What ``mmcv.ops`` reports about the build of its operators, for environment dumps."""

import torch


def get_compiler_version() -> str:
    """Say that no compiler was involved, and which torch computes instead."""
    return f'not compiled: torch {torch.__version__} stand-in'


def get_compiling_cuda_version() -> str:
    """Say that no operator was compiled for CUDA, and which CUDA torch was built with."""
    return f"not compiled: torch built with CUDA {torch.version.cuda or 'not available'}"


OPERATORS = {
    'get_compiler_version': get_compiler_version,
    'get_compiling_cuda_version': get_compiling_cuda_version,
}
