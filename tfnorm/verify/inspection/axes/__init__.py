"""Where the batch axis goes in a graph, and which ops reach across it."""
