# What guards every training: docs/coco.md, "Stopping and resuming".
custom_hooks = [
    dict(type='ConsistencyHook'),
    dict(type='IterationSeedHook'),
    dict(type='ResumeHook'),
    dict(type='FiniteLossHook'),
    dict(type='TerminationHook'),
]
