"""`python -m tfnorm`, where the `tfnorm` command is not on the path."""

from tfnorm.cli import main

main()
