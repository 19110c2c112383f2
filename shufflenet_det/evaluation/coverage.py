"""Whether the images that were tested are those of the annotations, and what their figures hide."""
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from mmengine.logging import print_log

from ..common.errors import DataError, shorten
from ..common.faults import repeated
from ..data.coco import CheckedCOCO

# of the COCO API, for each class in an image
MOST_DETECTIONS = 100


def check_image(truth: CheckedCOCO, sample: dict) -> None:
    """Hold a tested image against the annotations.

    Args:
        truth: the annotations.
        sample: the image, with ``img_id`` and, where it is known, ``img_path``.

    Raises:
        DataError: they have no image of this id, or one of another name.
    """
    image, path = truth.imgs.get(sample['img_id']), sample.get('img_path')
    if image is None:
        other = 'no image of this id'
    else:
        other = image['file_name']
        # the same file may stand there with its folders
        if path is None or _last(str(path)) == _last(str(other)):
            return
    raise DataError(
        f'image {sample["img_id"]} of the data set ({path or "without a path"}) is {other} in '
        f'{truth.path}: the evaluator reads other annotations than the data set. Set ann_file of '
        'the evaluator to that of the data set.'
    )


def _last(path: str) -> str:
    return PurePosixPath(path.replace('\\', '/')).name


def tested_ids(truth: CheckedCOCO, tested: Sequence) -> list:
    """Ids of the images that were tested, in the order of the annotations.

    Raises:
        DataError: one was tested twice, so that its detections would count twice.
    """
    if twice := repeated(tested):
        raise DataError(
            f'{len(twice)} images were tested more than once, and the COCO API would count their '
            f'detections as often: ids {shorten(twice)}. Test on a data set that has each image '
            'once.'
        )
    those = set(tested)
    ids = [image_id for image_id in truth.get_img_ids() if image_id in those]
    if len(ids) < len(truth.imgs):
        _warn(
            f'{len(ids)} of the {len(truth.imgs)} images of {truth.path} were tested: the figures '
            'are those of these alone'
        )
    return ids


def warn_of_figures(truth: CheckedCOCO, image_ids: Sequence, category_ids: Sequence) -> None:
    """Say what the figures of some images and categories cannot show."""
    chosen, counts = set(category_ids), Counter()
    for image_id in image_ids:
        for annotation in truth.imgToAnns.get(image_id, ()):
            if annotation['category_id'] in chosen and not annotation['iscrowd']:
                counts[image_id, annotation['category_id']] += 1
    if not counts:
        _warn(
            f'{truth.path} has no object to be found in the {len(image_ids)} images that were '
            'tested, so that all figures are -1. To keep the results, use --out FILE.json'
        )
        return
    many = {key: count for key, count in counts.items() if count > MOST_DETECTIONS}
    if many:
        (image_id, category_id), most = max(many.items(), key=lambda item: item[1])
        _warn(
            f'{len({image_id for image_id, _ in many})} images have more than {MOST_DETECTIONS} '
            f'objects of one class, the most {most} ({truth.cats[category_id]["name"]} in '
            f'{truth.imgs[image_id]["file_name"]}). The COCO API counts the best {MOST_DETECTIONS} '
            f'detections of a class in an image, so that of such objects at most '
            f'{len(many) * MOST_DETECTIONS / sum(many.values()):.0%} are found, however good the '
            'detector is'
        )


def _warn(text: str) -> None:
    print_log(f'{text}.', 'current', logging.WARNING)
