"""Whether logged answers are the model's, and if not, why."""
