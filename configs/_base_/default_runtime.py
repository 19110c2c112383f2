_base_ = ['mmdet::_base_/default_runtime.py', './training_hooks.py']
custom_imports = dict(imports=['shufflenet_det'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(type='SafeCheckpointHook', save_best='coco/bbox_mAP', max_keep_ckpts=3)
)
