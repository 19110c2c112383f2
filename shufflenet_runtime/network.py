"""An exported network that is ready to run."""
import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .description import check_files, read_description
from .engines import ENGINES, engine_named
from .errors import ConfigError, EngineError
from .precision import FLOAT
from .resizing import input_size
from .sessions import Outputs, Session


@dataclass(frozen=True)
class Network:
    """An exported network in an engine.

    Attributes:
        about: its description (:mod:`.description`).
        engine: name of the engine.
        precision: of :data:`.precision.PRECISIONS`.
        session: images (N, 3, H, W) of uint8, resized and with the channels in the network's order,
            to outputs by name. Threads may call it at the same time.
        process: in which it was loaded; the threads of engines do not survive a fork.
    """

    about: dict[str, Any]
    engine: str
    precision: str
    session: Session
    process: int = field(default_factory=os.getpid)

    def run(self, images: np.ndarray) -> Outputs:
        """Run the network.

        Raises:
            EngineError: the engine cannot run it on images of this size, or in this process.
        """
        if os.getpid() != self.process:
            raise EngineError(
                f'{self.about["name"]} was loaded before this process was forked, and the threads '
                f'of {self.engine} are in the other one: to run it here would wait for ever. Load '
                f'it in each process, after the fork.'
            )
        try:
            return self.session(images)
        except EngineError:
            raise
        # each engine has exceptions of its own, which its Python package does not name
        except Exception as error:
            height, width = images.shape[2:]
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise EngineError(
                f'{self.engine} cannot run {self.about["name"]} on an image of {width}x{height} '
                f'pixels, which may be too small for it: {reason[0]}'
            ) from None


def open_network(
    folder: str | Path,
    kinds: Sequence[str],
    engine: str | None = None,
    threads: int = 0,
    workers: int = 1,
    size: tuple[int, int] | None = None,
) -> Network:
    """Load an exported network.

    Args:
        folder: that holds it.
        kinds: what it may be, ``'detector'``, ``'classifier'`` or ``'backbone'``.
        engine: name of the engine; by default the first that is installed, of those that the
            network was exported for.
        threads: of one inference; 0 to share all cores among the workers.
        workers: most threads that will run the network at the same time.
        size: height and width of most of its inputs, for which it is made faster where the engine
            can; one of another size works as well. By default that to which all images are
            resized, if there is one.

    Raises:
        DataError: there is none, or it is damaged.
        ConfigError: it is of another kind, or there is no network for this engine.
        EngineError: the engine is not installed, or cannot load it.
    """
    about = read_description(folder)
    if about['kind'] not in kinds:
        raise ConfigError(f'{folder} holds a {about["kind"]}, not a {" or ".join(kinds)}.')
    chosen = engine_named(engine or _first_installed(about['engines']))
    check_files(folder, about, chosen.name, chosen.files_of(about['kind']))
    precision = about['engines'][chosen.name].get('precision', FLOAT)
    size = size or input_size(about['resize'])
    shape = None if size is None else (1, 3, *size)
    session = chosen.open(Path(folder), threads, workers, precision, shape)
    return Network(about, chosen.name, precision, session)


def _first_installed(engines: Iterable[str]) -> str:
    # the names are a stranger's, and to look a module up can import what it is in
    names = [name for name in engines if name in ENGINES] or list(engines) or ['no engine']
    installed = (name for name in names if name in ENGINES and importlib.util.find_spec(name))
    # if there is none, the attempt to load the first says what to install
    return next(installed, names[0])
