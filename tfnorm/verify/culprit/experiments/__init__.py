"""The things in which two batches of the same examples may differ, one a module."""
