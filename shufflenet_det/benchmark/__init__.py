"""Measuring: complexity, and the tables of the paper."""
