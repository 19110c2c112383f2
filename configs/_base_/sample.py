# What the sample configs change in the real ones: the data, and a schedule for two CPU cores.
_base_ = './small_data.py'
sample_root = '{{$SAMPLE_DATA_ROOT:data/sample}}/'
sample_train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(type='SampleDataset', data_root=sample_root)
)
# one image at a time, as on COCO: in a batch, images are padded to the size of the largest
sample_val_dataloader = dict(
    num_workers=1, dataset=dict(type='SampleDataset', data_root=sample_root)
)
sample_evaluator = dict(ann_file=sample_root + 'annotations/instances_val2017.json')
sample_model = dict(roi_head=dict(bbox_head=dict(num_classes=8)), **_base_.small_two_stage)
