"""A process that has everything imported, and forks one for each command line that is to be run.

A hundred runs of tools or three hundred damaged inputs would otherwise wait for as many starts of
Python. What is forked behaves like a process of its own: it can be killed, ends with an exit
status, and writes its output to a file.
"""
import atexit
import functools
import importlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# of every process, on top of the environment of the test
_ENVIRONMENT = dict(
    PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONWARNINGS='ignore'
)


@dataclass
class Ended:
    """How a process ended: its exit status, negative for a signal, None if it hung; its output."""

    status: int | None
    output: str


class Zygote:
    """The process, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'tests.zygote'], cwd=ROOT, env={**os.environ, **_ENVIRONMENT},
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, argv: Sequence[str | Path], log: Path, largest_file: int | None = None,
              memory: int | None = None, errors: Path | None = None,
              **environment: str) -> int:  # fmt: skip
        """Run a Python script, or ``-m module``, with arguments; its process.

        Args:
            argv: script and arguments.
            log: file for the output.
            largest_file: that it may write, in bytes.
            memory: that it may ask for on top of what it has, in bytes.
            errors: file for what is written to stderr; by default ``log``, too.
            environment: variables beside those that this process has now.
        """
        return self._ask(argv=list(map(str, argv)), log=str(log), errors=str(errors or log),
                         environment={**os.environ, **_ENVIRONMENT, **environment},
                         largest_file=largest_file, memory=memory)  # fmt: skip

    def wait(self, pid: int, timeout: float = 300) -> int | None:
        """Exit status; None after ``timeout`` seconds, when the process is killed."""
        return self._ask(wait=pid, timeout=timeout)

    def run(self, argv: Sequence[str | Path], log: Path, timeout: float = 300, **options) -> Ended:
        status = self.wait(self.start(argv, log, **options), timeout)
        return Ended(status, log.read_text(errors='replace'))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, **command) -> int | None:
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@functools.cache
def shared_zygote() -> Zygote:
    """One for all tests of this process."""
    zygote = Zygote()
    atexit.register(zygote.close)
    return zygote


def run_forked(
    argv: Sequence[str | Path], timeout: float = 600, **environment: str
) -> subprocess.CompletedProcess:
    """Run a script with arguments from the root of the repository, as ``subprocess.run`` would."""
    zygote = shared_zygote()
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, 'out'), Path(folder, 'err')
        pid = zygote.start(argv, outputs[0], errors=outputs[1], **environment)
        status = zygote.wait(pid, timeout)
        texts = [output.read_text(errors='replace') for output in outputs]
    if status is None:
        raise subprocess.TimeoutExpired(argv, timeout, *texts)
    return subprocess.CompletedProcess(argv, status, *texts)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process and its workers."""
    os.killpg(pid, number)


def _serve() -> None:
    # OpenVINO does without it; its thread, if it held a lock at a fork, would hang what is forked
    sys.modules['openvino_telemetry'] = None
    # what the tools import; done once
    for name in ('shufflenet_det', 'shufflenet_det.export', 'shufflenet_det.own_data',
                 'shufflenet_runtime.cli', 'onnxruntime', 'openvino', 'mmdet.apis'):  # fmt: skip
        importlib.import_module(name)
    runner = importlib.import_module('mmengine.runner.runner')
    # it would ask compilers for their versions, for seconds
    runner.collect_env = dict
    # nor need each checkpoint have its config laid out beautifully
    config = importlib.import_module('mmengine.config.config')
    config.FormatCode = lambda text, **style: (text, True)
    answer = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    for line in sys.stdin:
        command = json.loads(line)
        result = _wait(**command) if 'wait' in command else _fork(**command)
        print(json.dumps(result), file=answer, flush=True)


def _fork(argv: list[str], log: str, errors: str, environment: dict[str, str],
          largest_file: int | None, memory: int | None) -> int:  # fmt: skip
    pid = _fork_when_possible()
    if pid:
        return pid
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for path in (log, errors)]
    for target, source in enumerate([nothing, *files]):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(environment)
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if memory:
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os._exit(_run(argv))


def _fork_when_possible(patience: float = 30) -> int:
    """Fork; OpenVINO does so in a thread when it is imported, and filelock forbids two at once.

    That is so on Python 3.12 and newer, where filelock watches forks.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return os.fork()
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _run(argv: list[str]) -> int:
    status = 0
    try:
        if argv[0] == '-m':
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name='__main__', alter_sys=True)
        else:
            sys.argv = argv
            runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _wait(wait: int, timeout: float) -> int | None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        pid, status = os.waitpid(wait, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(wait, signal.SIGKILL)
    os.waitpid(wait, 0)
    return None


if __name__ == '__main__':
    _serve()
