"""What machines do to a process, in words: errors that say little of their cause."""
import errno
import re
import signal
import time

import torch

_NO_ROOM = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'the quota of the disk is used up',
    errno.EFBIG: 'the file is larger than this process may write (ulimit -f)',
}
_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: '
                     r'(?P<signal>[\w ]+)|exited unexpectedly)')
_PEER = re.compile(r'Connection (?:closed|reset) by peer|Broken pipe|gloo.*(?:Timed out|recv)|'
                   r'NCCL (?:error|communicator was aborted)|Connection refused', re.DOTALL)
_MEMORY = re.compile(r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)[^0-9]*"
                     r'(?P<bytes>\d+)')


def explain(error: Exception) -> str | None:
    """The message for an error of the machine rather than of the program, or None."""
    # torch would raise anew in the middle of what follows, wherever a worker has ended
    if hasattr(signal, 'SIGCHLD'):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text = str(_lost_worker(error) or error)
    number = getattr(error, 'errno', None)
    if number in _NO_ROOM:
        where = f' {error.filename}' if error.filename else ''
        return (
            f'cannot write{where}: {_NO_ROOM[number]}. What was written before is whole: make '
            f'room, and continue a training with --resume.'
        )
    worker = _WORKER.search(text)
    if worker:
        how = worker['signal'] or 'ended'
        return (
            f'a worker process that reads images was lost ({how.strip().rstrip(".")}), mostly for '
            f'want of memory (Killed, Bus error). Use fewer: --cfg-options '
            f'train_dataloader.num_workers=N; a training continues with --resume.'
        )
    if isinstance(error, RuntimeError) and _PEER.search(text):
        return (
            'another process of this job has ended, and this one cannot go on alone. The cause is '
            'in the output of that one; continue with --resume.'
        )
    memory = _MEMORY.search(text)
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or memory:
        asked = f' for {int(memory["bytes"]) / 1e9:.1f} GB' if memory else ''
        return f'out of memory{asked}. Use smaller images or batches, or fewer workers.'
    return None


def _lost_worker(error: Exception) -> RuntimeError | None:
    """What torch says of a worker that was lost, where the connection to it told first."""
    if isinstance(error, EOFError | ConnectionError):
        time.sleep(0.5)
    try:
        torch._C._error_if_any_worker_fails()
    except RuntimeError as lost:
        return lost
    return None
