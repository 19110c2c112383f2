"""The end that a scheduler asks for: SIGTERM, some time before it kills."""
import signal
import threading

EXIT_STATUS = 128 + signal.SIGTERM
"""What a shell says of a process that SIGTERM has ended."""

_asked = threading.Event()


def listen() -> None:
    """Note SIGTERM from now on, instead of ending with it."""
    _asked.clear()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: _asked.set())


def stop_listening() -> None:
    """Let SIGTERM end the process again."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def is_asked() -> bool:
    """Whether SIGTERM has come since :func:`listen`."""
    return _asked.is_set()
