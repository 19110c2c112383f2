"""Measuring speed and memory of backbones, detectors, exported networks and input."""
