"""Which op makes a score depend on the batch."""
