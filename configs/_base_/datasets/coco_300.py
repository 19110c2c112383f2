# MS COCO at 300 pixels on the short side, 500 at most on the long one, training and test alike.
_base_ = './coco_600.py'
scale = (500, 300)

train_pipeline = [
    dict(step, scale=scale) if step['type'] == 'Resize' else step for step in _base_.train_pipeline
]
test_pipeline = [
    dict(step, scale=scale) if step['type'] == 'Resize' else step for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
