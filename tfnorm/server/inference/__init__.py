"""What is asked of a version, whichever way the request came."""
