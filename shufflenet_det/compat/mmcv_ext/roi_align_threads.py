"""torchvision's RoIAlign on all threads of a CPU: its kernel uses one."""
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

# RoIs that a thread takes at once: their result is copied while it is in the cache
_RUN = 32


def mean_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Fill ``output`` with the mean of each bin's samples.

    Args:
        features: [N, C, H, W].
        rois: [K, 5].
        output: [K, C, bins in a column, bins in a row].
        spatial_scale, sampling_ratio, aligned: as in :func:`.roi_align.roi_align_forward`.
    """
    bins = output.shape[2:]

    def align(rois: Tensor) -> Tensor:
        return torch.ops.torchvision.roi_align(
            features, rois, spatial_scale, *bins, sampling_ratio, aligned
        )

    threads = torch.get_num_threads()
    if features.is_cuda or threads == 1 or len(rois) <= _RUN or output.dtype != features.dtype:
        output.copy_(align(rois))
        return
    features = features.contiguous()
    # copied by numpy, because an operator of torch would start threads in each thread
    target = output.detach().numpy()

    def run(start: int) -> None:
        part = slice(start, start + _RUN)
        with torch.no_grad():
            np.copyto(target[part], align(rois[part]).numpy())

    # in full, so that an error of a thread is raised here
    list(_pool(os.getpid(), threads).map(run, range(0, len(rois), _RUN)))


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # of this process: a fork has no threads
    return ThreadPoolExecutor(threads, thread_name_prefix='roi_align')
