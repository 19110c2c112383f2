_base_ = ['../faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-300.py','../_base_/sample.py']
train_dataloader = _base_.sample_train_dataloader
val_dataloader = _base_.sample_val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.sample_evaluator
test_evaluator = val_evaluator
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.sample_num_classes)))
