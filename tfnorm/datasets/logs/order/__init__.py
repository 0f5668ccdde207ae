"""In which order the rows of a log come, and which of several workers reads them."""
