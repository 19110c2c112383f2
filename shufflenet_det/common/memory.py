"""Memory of a process on a CPU."""
import ctypes
import os

# of malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1
_OTHERS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES', 'LD_PRELOAD')


def keep_freed_memory() -> bool:
    """Let the process keep the memory that it frees, instead of returning it to the system.

    A training step on a CPU allocates the same hundreds of megabytes again and again. glibc gives
    them back after each step, and the system clears every page anew when it is next touched, which
    took a sixth of a step's time (docs/performance.md). The process stays as large as its largest
    step.

    Returns:
        Whether it was done: only with glibc's allocator, and not where the environment already
        chooses its settings or another allocator.
    """
    if any(name in os.environ for name in _OTHERS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        # another C library
        return False
    done = [mallopt(_M_MMAP_THRESHOLD, 2**30), mallopt(_M_TRIM_THRESHOLD, _MOST)]
    return all(done)
