# The recipe of all networks of docs/claims.md: tools/claims.py puts each of them in.
_base_ = [
    '../_base_/models/classifier_shufflenet-v1.py',
    '../_base_/tiny_imagenet_64.py',
    '../_base_/schedules/tiny_imagenet.py',
    '../_base_/imagenet_runtime.py',
]
model = dict(head=dict(num_classes=200))
default_hooks = dict(
    # two, because the older one is removed before the newer one is whole
    checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=2, save_best=None, rule=None),
)
log_processor = dict(by_epoch=True)
