"""What the PyTorch of today needs under MMDetection: mmcv's operators without a compiler, safe
checkpoint loading, and a quick search for configs."""
