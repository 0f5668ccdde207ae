"""Logged answers beside those of a model: what it is fed, which outputs belong together, what is rounding."""
