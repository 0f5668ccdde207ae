"""`python -m tfnorm.cli`."""

from tfnorm.cli import main

main()
