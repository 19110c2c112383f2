"""Public weights of ShuffleNet v1 that no network here can be, by name, with the reason."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """A collection that cannot be loaded.

    Attributes:
        names: of its files, as they would stand behind ``shufflenet://``.
        reason: why none of our networks computes what theirs does.
        instead: the name of a public file of the same network that can be loaded.
    """

    names: tuple[str, ...]
    reason: str
    instead: tuple[str, ...]


_SAME = (
    'padding as TensorFlow\'s SAME, which at stride 2 stands at the right and the bottom only, '
    'and an average that leaves padding out'
)
_NARROW = 'the first unit of a stage has a narrower bottleneck'
_PLAIN_STEM = 'its stem has neither batch norm nor ReLU'

REFUSED = (
    Refused(
        ('tensorpack-0.5x-g8', 'tensorpack-1x-g8'),
        f'it was trained with {_SAME}: another backbone would be needed for it',
        ('authors-0.5x-g8', 'authors-1x-g8'),
    ),
    Refused(
        ('mindcv-0.5x-g3', 'mindcv-1x-g3'),
        'it was trained with pooling padded as SAME, which at stride 2 stands at the right and '
        'the bottom only',
        ('authors-0.5x-g3', 'authors-1x-g3'),
    ),
    Refused(('ericsun99-1x-g8',), _PLAIN_STEM, ('authors-1x-g8',)),
    Refused(('jaxony-1x-g3',), _PLAIN_STEM, ('authors-1x-g3',)),
    Refused(
        ('caffe-farmingyard-1x-g3', 'caffe-msnqqer-1x-g3'),
        f'it pools without padding, and {_NARROW}',
        ('authors-1x-g3',) * 2,
    ),
    Refused(('mxnet-tveek-1x-g3',), f'{_PLAIN_STEM}, and {_NARROW}', ('authors-1x-g3',)),
    Refused(
        ('keras-scheckmedia-1x-g3',),
        f'it was trained with {_SAME}; its stem has no batch norm',
        ('authors-1x-g3',),
    ),
    Refused(
        ('onnx-1x-g3',),
        'the file of the ONNX model zoo is another network, with a bottleneck ratio of 1',
        ('authors-1x-g3',),
    ),
)  # fmt: skip


def refusal(name: str) -> str | None:
    """Why there are no weights of this name, None for a name that is not known to be refused."""
    for refused in REFUSED:
        for known, instead in zip(refused.names, refused.instead, strict=True):
            if name == known:
                return f'{refused.reason}. Use shufflenet://{instead} instead.'
    return None
