"""Runs what a document tells its reader to run."""
import os
import re
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT

BLOCK = re.compile(r'^```bash\n(.*?)^```$', re.DOTALL | re.MULTILINE)


def bash_blocks(document: Path) -> list[str]:
    """The ``bash`` blocks of a Markdown file, in order."""
    return BLOCK.findall(document.read_text())


def run_document(document: Path, folder: Path, timeout: float = 600, **environment: str) -> str:
    """Run the ``bash`` blocks of a document as one session, so that what is exported stays.

    Args:
        document: Markdown file.
        folder: where to run; the folders of the repository are linked into it.
        timeout: seconds for all blocks together.
        environment: further variables.

    Returns:
        What the commands printed, each behind its own text.

    Raises:
        AssertionError: the document has no block, or a command failed.
    """
    blocks = bash_blocks(document)
    assert blocks, f'{document} has no bash block'
    for name in ('configs', 'shufflenet_det', 'shufflenet_runtime', 'tools'):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    # the interpreter of the tests, whatever `python` is elsewhere
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')])
    process = subprocess.run(
        ['bash', '-euxo', 'pipefail', '-c', '\n'.join(blocks)],
        cwd=folder,
        env={
            **os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '', **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout[-4000:]
    return process.stdout
