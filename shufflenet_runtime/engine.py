"""What an engine is: it opens the network of an exported folder.

A new one is a subclass in a module of its own and a line in :mod:`.engines`; whatever exports
networks has a writer of its files.
"""
import os
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from .errors import EngineError
from .packages import require
from .precision import FLOAT
from .sessions import Session, Setting, Shape, for_other_shapes


class Engine(ABC):
    """An engine.

    Attributes:
        name: of the engine, which is that of its Python package and of the extra of the runtime
            that brings it, too.
        format: name of the kind of file that it reads.
        model: name of that file in an exported folder.
        files: all files that belong to a network.
        detector_files: of a detector those besides ``files``.
        precisions: of :data:`.precision.PRECISIONS` those that it can run.
        fixes_shapes: whether a network is faster where it is loaded for images of one shape.
    """

    name: ClassVar[str]
    format: ClassVar[str]
    model: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    detector_files: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[tuple[str, ...]] = (FLOAT,)
    fixes_shapes: ClassVar[bool] = False

    @abstractmethod
    def load(self, path: Path, setting: Setting) -> Session:
        """A session for a model file.

        Args:
            path: ``model`` in an exported folder.
            setting: its precision is one of ``precisions``, which the processor has; it has a shape
                only where ``fixes_shapes``.
        """

    def known_to_processor(self) -> tuple[str, ...]:
        """Those of ``precisions`` that this processor can compute in."""
        return self.precisions

    def require_precision(self, precision: str) -> None:
        """Refuse a precision that is not there.

        Raises:
            EngineError: the engine or the processor lacks it; the message says what they have.
        """
        if precision not in self.precisions:
            raise EngineError(
                f'{self.name} has no {precision}: it has {", ".join(self.precisions)}.'
            )
        known = self.known_to_processor()
        if precision not in known:
            raise EngineError(
                f'this processor has no {precision} for {self.name}: it has {", ".join(known)}. '
                f'Export the network with --precision and one of these.'
            )

    def files_of(self, kind: str) -> tuple[str, ...]:
        """All files of a ``'detector'``, ``'classifier'`` or ``'backbone'``."""
        return self.files + (self.detector_files if kind == 'detector' else ())

    def require(self) -> Any:
        """Import the engine.

        Raises:
            EngineError: it is not installed.
        """
        return require(self.name, self.name, f'the extra {self.name} of shufflenet_runtime')

    def open(
        self,
        folder: Path,
        threads: int = 0,
        workers: int = 1,
        precision: str = FLOAT,
        shape: Shape | None = None,
    ) -> Session:
        """Load the network of an exported folder.

        Args:
            folder: the folder.
            threads: of one inference; 0 to share all cores among the workers.
            workers: most threads that will call the session at the same time.
            precision: of the network.
            shape: of most images. The network is prepared for it where that is faster, and takes
                images of other shapes all the same.

        Raises:
            EngineError: the engine is not installed, lacks the precision, or refuses the file.
        """
        self.require()
        self.require_precision(precision)
        path = Path(folder) / self.model
        threads = threads or max(1, cores() // workers)
        general = Setting(threads, workers, precision)
        try:
            if shape is None or not self.fixes_shapes:
                return self.load(path, general)
            session = self.load(path, replace(general, shape=shape))
            return for_other_shapes(session, shape, partial(self.load, path, general))
        # each engine has exceptions of its own, which its Python package does not name
        except Exception as error:
            raise EngineError(f'{self.name} cannot load {path}: {error}') from None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
