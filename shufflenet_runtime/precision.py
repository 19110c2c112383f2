"""In which numbers a network computes."""

FLOAT = 'fp32'
"""What an export has that does not say."""
PRECISIONS = (FLOAT, 'fp16', 'bf16', 'int8')
"""``int8`` is of weights and of what goes between layers; the others are of all or most of it."""
