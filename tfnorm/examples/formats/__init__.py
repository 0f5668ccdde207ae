"""The formats of files of examples: each read a part at a time, kept in part or whole."""
