"""How far moving statistics are from the data's, as a person or a program reads it."""
