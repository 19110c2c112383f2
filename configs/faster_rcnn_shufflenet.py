# The detector of the paper's Table 7: ShuffleNet v1 1x (g=3), Faster R-CNN C4, COCO at 600 pixels.
_base_ = './faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
