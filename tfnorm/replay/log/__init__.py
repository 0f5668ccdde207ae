"""Request logs, read as a stream of calls: a request each, with the answer that production gave."""
