"""Every change that this package makes to other libraries, when it is imported; in memory only.

Each is made where it is needed, which is asked of the library itself: a stack that does it right
is left alone. The environment variable ``SHUFFLENET_DET_COMPAT`` switches changes off: ``off`` all
of them, ``-checkpoint,-inferencer_config`` those of these names.

To add one, write a module of this package with two functions, ``needed()`` and ``install()``, and
name it in :data:`CHANGES`.
"""
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

VARIABLE = 'SHUFFLENET_DET_COMPAT'


@dataclass(frozen=True)
class Change:
    """A change to another library.

    Attributes:
        name: by which it is switched off.
        module: of this package; its ``needed()`` asks the library, its ``install()`` makes the
            change, and makes it once however often it is called.
        where: what of which library is changed.
        why: what goes wrong without it.
        when: what ``needed()`` asks.
    """

    name: str
    module: str
    where: str
    why: str
    when: str


CHANGES = (
    Change(
        'mmcv_ext',
        'mmcv_ext',
        'import system: answers for the missing module `mmcv._ext`; what was imported without it '
        'gets the operators',
        'without compiled mmcv, MMDetection cannot be imported',
        'mmcv has no compiled module',
    ),
    Change(
        'checkpoint',
        'checkpoint',
        "mmengine: loaders of `CheckpointLoader`; torch: allow-list of weights-only loading",
        'a checkpoint of mmengine can be neither resumed nor tested, or loading one runs code',
        "mmengine refuses a file with its own `HistoryBuffer`, or calls what a file names",
    ),
    Change(
        'checkpoint_writing',
        'checkpoint_writing',
        'mmengine: `save_checkpoint`, for files on a disk',
        'a run that ends while it writes leaves a checkpoint that is no whole one',
        'always',
    ),
    Change(
        'inferencer_config',
        'inferencer_config',
        'mmengine: `BaseInferencer._init_model`',
        'without a config file, an inferencer runs the program that stands in the checkpoint',
        'it reads a config from text',
    ),
    Change(
        'load_report',
        'checkpoint_keys',
        'mmengine: `load_state_dict`, for models with parts of this package',
        'a file of which nothing fits is loaded in silence',
        'a load of nothing raises no error',
    ),
    Change(
        'weights_record',
        'checkpoint_saving',
        'mmengine: `call_hook` of the runners, for models with backbones of this package',
        'no checkpoint says which pixels and which shuffle its weights need',
        'always',
    ),
    Change(
        'weights_check',
        'initialisation',
        'mmengine: start and end of `BaseModel.init_weights`, for models with backbones of this '
        'package',
        'weights that need other pixels than the model gives are used in silence',
        'always',
    ),
    Change(
        'ssd_head',
        'ssd_head',
        'mmdet: `SSDHead.loss_cls`',
        'SSD and SSDLite cannot predict',
        'the class has no such attribute',
    ),
    Change(
        'paste_masks',
        'paste_masks',
        'mmdet: `fcn_mask_head._do_paste_mask`',
        'on CPU a box outside of the picture ends prediction, as untrained QueryInst gives them',
        'such a box fails',
    ),
)


def switched_off(environ: Mapping[str, str] | None = None) -> set[str]:
    """Names of the changes that the environment switches off.

    Raises:
        ImportError: the variable names no change.
    """
    value = (os.environ if environ is None else environ).get(VARIABLE, '').strip()
    known = {change.name for change in CHANGES}
    if value == 'off':
        return known
    names = [part.strip() for part in value.split(',') if part.strip()]
    for name in names:
        if not name.startswith('-') or name[1:] not in known:
            raise ImportError(
                f'{VARIABLE}={value}: {name!r} is no change of shufflenet_det. Give `off`, or '
                f'changes to leave out: {",".join("-" + name for name in sorted(known))}'
            )
    return {name[1:] for name in names}


def make(*names: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Make the changes that are needed and not switched off. Calling it again changes nothing.

    Args:
        names: of the changes to make; by default all, in their order.
        environ: in place of the environment.

    Returns:
        The names of those that are made.

    Raises:
        ImportError: the environment switches off what is no change, or what this stack cannot
            do without.
    """
    off = switched_off(environ)
    made = []
    for change in CHANGES:
        if names and change.name not in names:
            continue
        module = import_module(f'.{change.module}', __package__)
        if change.name in off:
            # what an import would say of its own, far from the cause
            if change.name == 'mmcv_ext' and module.needed():
                raise ImportError(
                    f'{VARIABLE} switches mmcv_ext off, and this environment has no compiled mmcv: '
                    f'MMDetection cannot be imported. Install compiled mmcv, or leave it on.'
                )
        elif module.needed():
            module.install()
            made.append(change.name)
    return made
