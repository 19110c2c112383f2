"""What a classifier's errors are: by class, pair of classes, score and image."""
from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass
class ClassificationAnalysis:
    """All that the page shows of the answers of a run.

    Attributes:
        classes: names, in the order of the arrays.
        images: their number.
        wrong_share: percent of the images of each class whose surest class is another.
        counts: images of each class.
        confusion: (classes, classes) counts, truth by answer.
        pairs: (truth, answer, images) of the most frequent errors.
        bins: (lower edge, mean score, share right, images) for each tenth of the highest scores.
        calibration_error: mean distance of score and share right, weighted by images (ECE).
        wrong: the images with the surest wrong answers: records of the result file.
    """

    classes: list[str]
    images: int
    wrong_share: list[float]
    counts: list[int]
    confusion: np.ndarray
    pairs: list[tuple[str, str, int]]
    bins: list[tuple[float, float, float, int]]
    calibration_error: float
    wrong: list[dict]


def analyse(records: list[dict], per_class: dict[str, float]) -> ClassificationAnalysis:
    """Count the errors.

    Args:
        records: ``path``, ``label`` and ``predictions`` (score by class, the surest first) of each
            image, as ``TopKError`` keeps them.
        per_class: top-1 error in percent by class, as ``TopKError`` has it: unlike the order of the
            predictions it counts a tie as an error.
    """
    answers = [next(iter(record['predictions'].items())) for record in records]
    classes = list(dict.fromkeys([*per_class, *(name for name, _ in answers)]))
    index = {name: i for i, name in enumerate(classes)}
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    for record, (answer, _) in zip(records, answers, strict=True):
        confusion[index[record['label']], index[answer]] += 1
    errors = Counter(
        (record['label'], answer)
        for record, (answer, _) in zip(records, answers, strict=True)
        if record['label'] != answer
    )
    wrong = [r for r, (answer, _) in zip(records, answers, strict=True) if r['label'] != answer]
    scores = np.array([score for _, score in answers])
    right = np.array([r['label'] == a for r, (a, _) in zip(records, answers, strict=True)])
    bins, calibration_error = _bins(scores, right)
    return ClassificationAnalysis(
        classes,
        len(records),
        [per_class.get(name, 0.0) for name in classes],
        confusion.sum(axis=1).tolist(),
        confusion,
        [(*pair, count) for pair, count in errors.most_common(20)],
        bins,
        calibration_error,
        sorted(wrong, key=lambda r: -next(iter(r['predictions'].values()))),
    )


def _bins(scores: np.ndarray, right: np.ndarray) -> tuple[list[tuple], float]:
    rows, error = [], 0.0
    place = np.minimum((scores * 10).astype(int), 9)
    for number in range(10):
        own = place == number
        score, share = (float(v[own].mean()) if own.any() else 0.0 for v in (scores, right))
        rows.append((number / 10, score, share, int(own.sum())))
        error += own.mean() * abs(score - share) if len(scores) else 0.0
    return rows, float(error)
