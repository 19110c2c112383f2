"""The files of ``shufflenet_runtime`` that come with this package.

The runtime is a distribution of its own, for machines without PyTorch. This package needs its
code, too, and brings it in a folder of its own: no file belongs to both, so that each can be
installed and uninstalled without the other. ``setup.py`` fills the folder; in a checkout it is not
there.
"""
import sys
from pathlib import Path

from .version import __version__

FOLDER = Path(__file__).with_name('.runtime')


def provide_runtime(folder: Path = FOLDER) -> None:
    """Let ``import shufflenet_runtime`` find the files that belong to this version.

    Raises:
        ImportError: a runtime of another version was imported before.
    """
    loaded = sys.modules.get('shufflenet_runtime')
    version = getattr(loaded, '__version__', __version__)
    if version != __version__:
        raise ImportError(
            f'shufflenet_runtime {version} from {loaded.__file__} was imported before '
            f'shufflenet_det {__version__}, which needs its own version of it. Import '
            f'shufflenet_det first, or install the runtime that belongs to it: '
            f"pip install './shufflenet_runtime'."
        )
    # first, so that it does not depend on which other runtime is installed beside it
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
