"""What counts as agreement, and what does not."""
from shufflenet_det.export.agreement import compare

import numpy as np
import pytest

THRESHOLDS = dict(score=0.05, max_per_image=100)


def detections(*rows: tuple[float, float, int]) -> dict[str, np.ndarray]:
    """Boxes of 10 pixels: left side, score and label of each."""
    left, scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1).astype(np.float32)
    return dict(boxes=boxes, scores=scores.astype(np.float32), labels=labels.astype(np.int64))


EXPECTED = detections((0, 0.9, 1), (100, 0.8, 2), (200, 0.3, 1))


def test_order_does_not_matter_and_differences_are_reported():
    found = detections((100.25, 0.8, 2), (0, 0.9, 1), (200, 0.3005, 1))
    difference = compare('detector', EXPECTED, found, THRESHOLDS)
    assert difference.agrees and difference.compared == 3
    assert difference.boxes == 0.25
    assert difference.scores == pytest.approx(0.0005, abs=1e-6)


@pytest.mark.parametrize(
    'found',
    [
        detections((0, 0.9, 1), (100, 0.8, 2)),
        detections((0, 0.9, 1), (100, 0.8, 2), (200, 0.3, 1), (300, 0.2, 1)),
        detections((0, 0.9, 1), (100, 0.8, 3), (200, 0.3, 1)),
        detections((0, 0.9, 1), (100.6, 0.8, 2), (200, 0.3, 1)),
        detections((0, 0.9, 1), (100, 0.8, 2), (200, 0.302, 1)),
        detections((0, 0.9, 1), (0, 0.9, 1), (200, 0.3, 1)),
        detections((0, np.nan, 1), (100, 0.8, 2), (200, 0.3, 1)),
    ],
    ids=['missing', 'more', 'label', 'box', 'score', 'twice', 'nan'],
)
def test_another_detection_is_no_agreement(found):
    assert not compare('detector', EXPECTED, found, THRESHOLDS).agrees
    assert not compare('detector', found, EXPECTED, THRESHOLDS).agrees


def test_a_single_detection_must_match():
    one, other = detections((0, 0.9, 1)), detections((50, 0.9, 1))
    assert not compare('detector', one, other, THRESHOLDS).agrees


def test_a_score_at_a_threshold_may_be_missing_on_one_side():
    found = detections((0, 0.9, 1), (100, 0.8, 2), (200, 0.3, 1), (300, 0.0505, 1))
    assert compare('detector', EXPECTED, found, THRESHOLDS).agrees
    # the last of as many as are allowed
    full = THRESHOLDS | dict(max_per_image=3)
    found = detections((0, 0.9, 1), (100, 0.8, 2), (400, 0.3, 1))
    assert compare('detector', EXPECTED, found, full).agrees
    assert not compare('detector', EXPECTED, found, THRESHOLDS).agrees


def test_levels_and_logits_are_compared_by_their_largest_value():
    expected = dict(logits=np.array([[100.0, 0.0, -50.0]], np.float32))
    near = dict(logits=expected['logits'] + np.float32(0.05))
    far = dict(logits=expected['logits'] + np.float32(0.2))
    nan = dict(logits=expected['logits'] * np.float32(np.nan))
    assert compare('classifier', expected, near).agrees
    assert compare('classifier', expected, near).scores == pytest.approx(5e-4, rel=1e-3)
    assert not compare('classifier', expected, far).agrees
    assert not compare('classifier', expected, nan).agrees
    assert not compare('classifier', expected, dict(logits=near['logits'][:, :2])).agrees
