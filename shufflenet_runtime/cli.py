"""The work of the command line: sources to results, drawn, shown, printed or written."""
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

import cv2
import numpy as np

from .classifier import Classification, Classifier
from .description import read_description
from .detector import Detections, Detector
from .drawing import draw
from .errors import ConfigError, DataError, EngineError
from .output import DrawnImages, JSONList
from .parallel import in_order
from .predictor import Predictor
from .progress import Progress
from .sources import Frame, Source, open_sources

_ESCAPE = 27
# what is worth drawing, as MMDetection's tools have it
_SCORE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Options:
    """The arguments of the command line, by their names."""

    model: str
    sources: list[str]
    out_dir: str | None
    json: str | None
    show: bool
    score_threshold: float | None
    engine: str | None
    threads: int
    workers: int
    max_frames: int | None
    image_size: list[int] | None = None
    time: bool = False


@dataclass(frozen=True)
class Result:
    """What became of an image: its pixels and what was found in how long, or an error."""

    frame: Frame
    image: np.ndarray | None = None
    seconds: float = 0.0
    found: Detections | Classification | None = None
    error: Exception | None = None

    def as_json(self) -> dict:
        about = dict(image=self.frame.source)
        if self.frame.number is not None:
            about.update(frame=self.frame.number, seconds=round(self.frame.seconds, 3))
        if self.error is not None:
            return about | dict(error=str(self.error))
        height, width = self.image.shape[:2]
        return about | dict(width=width, height=height) | self.found.as_json()


def run(args: Options) -> None:
    """Do what the command line says.

    Raises:
        UserError: something is wrong with the model, a source or an output.
        DataError: some images could not be read, after all others are done.
    """
    predictor = _predictor(args)
    sources = open_sources(args.sources, args.max_frames, predictor.upright)
    for source in sources:
        for reason in source.left_out:
            print(f'note: {source.name}: left out: {reason}', file=sys.stderr)
    pictures = DrawnImages(args.out_dir, sources) if args.out_dir else None
    counts = [source.count for source in sources]
    progress = Progress(None if None in counts else sum(counts))
    bad: list[Result] = []
    times: list[float] = []
    with _json_list(args.json) as entries:
        for source in sources:
            with _ended(source, pictures):
                for result in in_order(predicting(predictor), source.frames(), args.workers):
                    progress.step()
                    if entries:
                        entries.add(result.as_json())
                    if result.error is not None:
                        print(f'error: {result.error}', file=sys.stderr)
                        bad.append(result)
                        continue
                    times.append(result.seconds)
                    try:
                        more = _deliver(args, source, result, pictures)
                    except DataError as error:
                        if result.frame.number is not None:
                            raise
                        # of this image: the others go on
                        print(f'error: {error}', file=sys.stderr)
                        bad.append(result)
                        continue
                    if not more:
                        break
    if args.time:
        print(latency(times))
    print(
        f'{progress.done} images with {predictor.engine} in {predictor.precision}, '
        f'{progress.rate():.1f} a second'
        + ''.join(f'; wrote {path}' for path in (args.json, args.out_dir) if path)
    )
    if bad:
        raise DataError(f'{len(bad)} of {progress.done} images failed, see above.')


def _predictor(args: Options) -> Predictor:
    size = args.image_size and tuple(args.image_size)
    common = dict(
        path=args.model,
        engine=args.engine,
        threads=args.threads,
        workers=args.workers,
        image_size=size,
    )
    about = read_description(args.model)
    threshold = args.score_threshold
    if about['kind'] == 'classifier':
        if threshold is not None:
            raise ConfigError('--score-threshold is for detectors, and this is a classifier.')
        return Classifier(**common)
    if threshold is None and about['kind'] == 'detector':
        threshold = max(_SCORE_THRESHOLD, about['thresholds']['score'])
    return Detector(**common, score_threshold=threshold)


def predicting(predictor: Predictor) -> Callable[[Frame], Result]:
    """A function from a frame to its result."""

    def predict(frame: Frame) -> Result:
        try:
            image = frame.read()
            start = time.perf_counter()
            found = predictor(image)
            return Result(frame, image, time.perf_counter() - start, found)
        except (DataError, EngineError) as error:
            # of this image: the others go on
            return Result(frame, error=error)

    return predict


def latency(times: Sequence[float]) -> str:
    """A line on how long images took, from pixels to results, without reading them.

    The first one, which is slower, is told apart.
    """
    if not times:
        return 'latency: no image'
    first, *rest = (1000 * seconds for seconds in times)
    if not rest:
        return f'latency: {first:.2f} ms for the first image, and there is no other'
    low, median, high = np.percentile(rest, (25, 50, 75))
    return (
        f'latency: median {median:.2f} ms, quartiles {low:.2f} and {high:.2f} ms, of {len(rest)} '
        f'images after the first ({first:.2f} ms)'
    )


def _deliver(args: Options, source: Source, result: Result, pictures: DrawnImages | None) -> bool:
    """Draw, show or print a result; whether to go on with this source."""
    if not (pictures or args.json or args.show):
        print(f'{result.frame.name}: {_line(result.found)}')
    if not (pictures or args.show):
        return True
    drawn = draw(result.image, result.found)
    if pictures:
        pictures.add(source, result.frame, drawn)
    return not args.show or _show(drawn, wait=result.frame.number is None)


def _line(found: Detections | Classification) -> str:
    if isinstance(found, Classification):
        best = zip(found.names, found.probabilities[found.labels], strict=True)
        return ', '.join(f'{name} {value:.3f}' for name, value in best)
    return ', '.join(
        f'{name} {score:.2f} at {" ".join(f"{x:.0f}" for x in box)}' for name, score, box in found
    ) or 'nothing'


def _show(image: np.ndarray, wait: bool) -> bool:
    try:
        cv2.imshow('shufflenet_runtime', image)
        return cv2.waitKey(0 if wait else 1) != _ESCAPE
    except cv2.error:
        raise EngineError(
            'this OpenCV has no windows: install opencv-python in the place of '
            'opencv-python-headless, or use --out-dir.'
        ) from None


@contextmanager
def _json_list(path: str | None) -> Iterator[JSONList | None]:
    entries = JSONList(path) if path else None
    done = False
    try:
        yield entries
        done = True
    finally:
        if entries:
            entries.close(keep=done)


@contextmanager
def _ended(source: Source, pictures: DrawnImages | None) -> Iterator[None]:
    """Ends a source. To interrupt one without an end is the way to end it."""
    done = False
    # a camera or a stream
    endless = not source.files
    try:
        with suppress(KeyboardInterrupt) if endless else nullcontext():
            yield
        done = True
    finally:
        if pictures:
            pictures.end_of_source(keep=done)
