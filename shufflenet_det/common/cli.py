"""What the command line tools share: messages instead of tracebacks, configs, work folders."""
import atexit
import logging
import os
import re
import select
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from . import failures, termination
from .errors import ConfigError, ShuffleNetDetError
from .memory import keep_freed_memory

# torch wraps an error of a worker process in the text of its traceback
_WORKER = re.compile(r'Caught \w+ in DataLoader worker process')
# errors of paths that a user has named
_OF_PATHS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


def run(main: Callable[[], None]) -> None:
    """Run a tool; errors that the user can mend end it with one message and exit status 1."""
    keep_freed_memory()
    # the name of a file may be no text
    sys.stdout.reconfigure(errors='backslashreplace')
    # MMEngine reads package metadata through pkg_resources; setuptools is pinned below its removal
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    # a log that cannot be written, as on a full disk, ends in a message and not in many
    logging.raiseExceptions = False
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit('interrupted')
    except SystemExit as error:
        if error.code == termination.EXIT_STATUS:
            _end_of_worker(error.code)
        raise
    except (ShuffleNetDetError, *_OF_PATHS) as error:
        _tell_torchrun(error)
        sys.exit(f'error: {message_of(error)}')
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _has_lost_reader():
            sys.exit(128 + signal.SIGPIPE)
        if termination.is_asked():
            # the first process has saved and ended, and the connection to it with it
            _end_of_worker(termination.EXIT_STATUS)
            sys.exit(termination.EXIT_STATUS)
        _tell_torchrun(error)
        known = failures.explain(error)
        if known:
            sys.exit(f'error: {known}')
        traceback.print_exc()
        sys.exit(f'error: {type(error).__name__}: {message_of(error)}')
    _end_of_worker(0)


def _has_lost_reader() -> bool:
    """Whether who reads the output has gone, as ``head`` does; what is left goes nowhere then."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _end_of_worker(status: int) -> None:
    """End a process of several that train together, before Python takes itself apart.

    Threads of PyTorch's backward passes may still ask for Python's lock then. Python ends a thread
    that does, which C++ answers by aborting the process: a run that is done and saved would fail.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _tell_torchrun(error: Exception) -> None:
    """Leave the error where torchrun looks for it, so that its last word names the cause."""
    if 'TORCHELASTIC_ERROR_FILE' in os.environ:
        get_error_handler().record_exception(error)


def message_of(error: BaseException) -> str:
    """The message of an error, without the traceback that torch adds to those of its workers."""
    text = str(error)
    if _WORKER.match(text):
        return text.rsplit(f'{type(error).__name__}: ', 1)[-1].strip()
    return text


def check_writable(folder: str | Path, flag: str = '--work-dir') -> Path:
    """Create ``folder``, which ``flag`` names, and prove that a file can be written in it.

    Raises:
        ConfigError: it cannot be created or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f'cannot write to the output folder {folder}: {error.strerror}. Choose another with '
            f'{flag}.'
        ) from None
    return folder


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file as a whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
