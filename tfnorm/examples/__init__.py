"""Examples to score: read from files, drawn from a signature, checked against what a model takes."""
