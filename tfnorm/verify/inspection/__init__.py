"""What is wrong or risky in a SavedModel, without any examples."""
