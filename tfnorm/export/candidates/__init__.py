"""One user and many candidates: what candidates have in common is computed once."""
