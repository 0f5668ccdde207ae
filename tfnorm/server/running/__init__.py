"""Where a version's model runs: in the server's process, or in one of its own whose memory is bounded."""
