"""Which versions are served, and how they come and go."""
