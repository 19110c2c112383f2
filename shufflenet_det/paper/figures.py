"""The figures of the paper's Tables 1 to 8 (arXiv 1707.01083), and the configs they belong to."""
from dataclasses import dataclass

from ..models.widths import PAPER_MFLOPS, PAPER_SHALLOW_MFLOPS

GROUPS = (1, 2, 3, 4, 8)
TIMED_SHAPES = ((224, 224), (480, 640), (720, 1280))
DETECTOR_SHAPES = {300: (300, 400), 600: (600, 800)}
"""Height and width at which detectors are counted, by the short side that the paper gives; most
images of COCO are 4:3."""

# why a counted complexity is more than 3% from the paper's
STEM_OF_8 = (
    'The stem must be a multiple of the 8 groups, which 12 channels are not: 8 are nearer to the '
    "paper's complexity than 16 (15.7 MFLOPs at 0.25x, 40.5 at 0.5x)."
)
STAGES_OF_16 = (
    'Stages of 68 and 136 channels are no multiples of 16, as the bottlenecks in 4 groups need; '
    'the next complexity above is 13.5 MFLOPs (+3.7%). Both print as 13, as in the paper.'
)
_NOTES = {(0.25, 8): STEM_OF_8, (0.5, 8): STEM_OF_8, (0.25, 4): STAGES_OF_16}
_VARIANTS = {'noshuffle': ', no shuffle', 'se': ' with SE', 'shallow': ' shallow', '': ''}


@dataclass(frozen=True)
class Row:
    """One network of Tables 1 to 6 and 8.

    Attributes:
        model: name in the table.
        config: file name in ``configs/imagenet`` without ``.py``.
        mflops: complexity in millions of multiply-adds at 224x224.
        error: top-1 error on ImageNet's validation images in percent.
        times: milliseconds at ``TIMED_SHAPES`` on one core of a Snapdragon 820.
        note: why our complexity is more than 3% from ``mflops``.
    """

    model: str
    config: str
    mflops: float
    error: float | None = None
    times: tuple[float, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class DetectorRow:
    """One figure of Table 7.

    Attributes:
        model: name of the backbone in the table.
        resolution: short side of the images in pixels.
        mean_ap: COCO's mAP at IoU .50:.95 on the 5000 images of minival, in percent.
        config: file name in ``configs/faster_rcnn`` without ``.py``; None for a detector of which
            only the figure is known.
    """

    model: str
    resolution: int
    mean_ap: float
    config: str | None


def _shufflenet(
    factor: float,
    groups: int,
    error: float | None = None,
    mflops: float | None = None,
    variant: str = '',
    **figures: object,
) -> Row:
    mflops = mflops or PAPER_MFLOPS[factor, groups]
    return Row(
        f'ShuffleNet {factor:g}x g={groups}{_VARIANTS[variant]}',
        f'shufflenet-v1-{factor:g}x-g{groups}' + (f'-{variant}' if variant else '') + '_in1k',
        mflops,
        error,
        note=_NOTES.get((factor, groups)),
        **figures,
    )


def _mobilenet(factor: float, error: float | None, mflops: float, **figures: object) -> Row:
    config = f'mobilenet-v1-{factor}_in1k'
    return Row(f'{factor} MobileNet-224', config, mflops, error, **figures)


def _like(unit: str, mflops: int, error: float) -> Row:
    return Row(f'{unit}-like {mflops}', f'{unit.lower()}-like-{mflops}_in1k', mflops, error)


def _detectors(
    model: str, backbone: str | None, mean_ap_300: float, mean_ap_600: float
) -> list[DetectorRow]:
    return [
        DetectorRow(
            model, short, mean_ap, backbone and f'faster-rcnn_{backbone}_c4_2x_coco-{short}'
        )
        for short, mean_ap in ((300, mean_ap_300), (600, mean_ap_600))
    ]


TITLES = {
    1: 'ShuffleNet 1x: complexity by number of groups',
    2: 'Error by number of groups',
    3: 'Without and with channel shuffle',
    4: 'Other units in the same skeleton, at equal complexity',
    5: 'Against MobileNet v1',
    6: 'Against well-known networks',
    7: 'Faster R-CNN (C4) on MS COCO',
    8: 'Time on one ARM core (Snapdragon 820, one thread, batch 1)',
}

CLASSIFIERS: dict[int, list[Row]] = {
    1: [_shufflenet(1, groups) for groups in GROUPS],
    2: [
        _shufflenet(factor, groups, error)
        for factor, errors in (
            (1, (33.6, 32.7, 32.6, 32.8, 32.4)),
            (0.5, (45.1, 44.4, 43.2, 41.6, 42.3)),
            (0.25, (57.1, 56.8, 55.0, 54.2, 52.7)),
        )
        for groups, error in zip(GROUPS, errors, strict=True)
    ],
    3: [
        _shufflenet(factor, groups, error, variant=variant)
        for factor, groups, *errors in (
            (1, 3, 34.5, 32.6),
            (1, 8, 37.6, 32.4),
            (0.5, 3, 45.7, 43.2),
            (0.5, 8, 48.1, 42.3),
            (0.25, 3, 56.3, 55.0),
            (0.25, 8, 56.5, 52.7),
        )
        for variant, error in zip(('noshuffle', ''), errors, strict=True)
    ],
    4: [
        _like('VGG', 140, 50.7),
        _like('ResNet', 140, 37.3),
        _like('Xception', 140, 33.6),
        _like('ResNeXt', 140, 33.3),
        _shufflenet(1, 8, 32.4, mflops=140),
        _like('ResNet', 38, 48.8),
        _like('Xception', 38, 45.1),
        _like('ResNeXt', 38, 46.0),
        _shufflenet(0.5, 4, 41.6),
        _like('ResNet', 13, 63.7),
        _like('Xception', 13, 57.1),
        _like('ResNeXt', 13, 65.2),
        _shufflenet(0.25, 8, 52.7),
    ],
    5: [
        _mobilenet(1.0, 29.4, 569),
        _shufflenet(2, 3, 26.3),
        _shufflenet(2, 3, 24.7, mflops=527, variant='se'),
        _mobilenet(0.75, 31.6, 325),
        _shufflenet(1.5, 3, 28.5),
        _mobilenet(0.5, 36.3, 149),
        _shufflenet(1, 8, 32.4, mflops=140),
        _mobilenet(0.25, 49.4, 41),
        _shufflenet(0.5, 4, 41.6),
        _shufflenet(0.5, 3, 42.8, mflops=PAPER_SHALLOW_MFLOPS[0.5, 3], variant='shallow'),
    ],
    6: [
        Row('VGG-16', 'vgg16_in1k', 15300, 28.5),
        _shufflenet(2, 3, 26.3),
        Row('GoogLeNet', 'googlenet_in1k', 1500, 31.3),
        _shufflenet(1, 8, 32.4, mflops=140),
        Row('AlexNet', 'alexnet_in1k', 720, 42.8),
        Row('SqueezeNet', 'squeezenet_in1k', 833, 42.5),
        _shufflenet(0.5, 4, 41.6),
    ],
    8: [
        _shufflenet(0.5, 3, times=(15.2, 87.4, 260.1)),
        _shufflenet(1, 3, mflops=140, times=(37.8, 222.2, 684.5)),
        _shufflenet(2, 3, times=(108.8, 617.0, 1857.6)),
        Row('AlexNet', 'alexnet_in1k', 720, times=(184.0, 1156.7, 3633.9)),
        _mobilenet(1.0, None, 569, times=(110.0, 612.0, 1879.2)),
    ],
}

DETECTORS: list[DetectorRow] = [
    *_detectors('ShuffleNet 2x g=3', 'shufflenet-v1-2x-g3', 18.7, 25.0),
    *_detectors('ShuffleNet 1x g=3', 'shufflenet-v1-1x-g3', 14.5, 19.8),
    *_detectors("1.0 MobileNet-224 (MobileNet's paper)", None, 16.4, 19.8),
    *_detectors('1.0 MobileNet-224', 'mobilenet-v1-1.0', 14.9, 19.3),
]
