"""The commands, a module each. What a command's work needs, but not its help, is imported in the command."""
