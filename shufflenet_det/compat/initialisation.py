"""What is to be done before and after a whole model gets its initial weights."""
from collections.abc import Callable

from mmengine.model import BaseModel

from .wrapping import wrap

before_init: list[Callable[[BaseModel], None]] = []
"""Called with each model at the start of its ``init_weights``, not with models inside of it."""
after_init: list[Callable[[BaseModel], None]] = []
"""Called with each model at the end of its ``init_weights``, not with models inside of it."""


def needed() -> bool:
    """MMEngine tells nobody when a model that stands alone has got its weights."""
    return True


def install() -> None:
    """Have every model call both lists. Calling it again changes nothing."""
    wrap(BaseModel, 'init_weights', _calling)


def _calling(init_weights: Callable) -> Callable:
    def init_and_call(self: BaseModel) -> None:
        # mmengine's own sign of the outermost call; a detector inside another is given images by
        # the preprocessor of the outer one
        outermost = not hasattr(self, '_params_init_info')
        for call in before_init if outermost else ():
            call(self)
        init_weights(self)
        for call in after_init if outermost else ():
            call(self)

    return init_and_call
