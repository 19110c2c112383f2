"""Peak memory of a call: what it allocates beyond what was there before."""
import os
from collections.abc import Callable

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

# the profiler of PyTorch reports its own start and stop on the console
os.environ.setdefault('KINETO_LOG_LEVEL', '6')


def peak_memory(run: Callable[[], object], device: str = 'cpu') -> int:
    """The most bytes that are allocated at one time during a call, without those before it.

    On a CPU all allocations of PyTorch count, the buffers inside operators too; on a GPU those of
    its caching allocator. Gradients count if they are None before the call.
    """
    if device == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    found, events = [], list(profiler.profiler.kineto_results.experimental_event_tree())
    while events:
        event = events.pop()
        events += event.children
        if event.tag == _EventType.Allocation:
            fields = event.extra_fields
            found.append((event.start_time_ns, fields.ptr, fields.alloc_size))
    alive: dict[int, int] = {}
    peak = now = 0
    for _, address, size in sorted(found):
        # what is freed has a minus; a block from before may have the address of one that an
        # earlier profile saw
        now += size if size > 0 else -alive.pop(address, 0)
        if size > 0:
            alive[address] = size
        peak = max(peak, now)
    return peak
