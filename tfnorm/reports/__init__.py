"""What all reports have: where they come from, and the forms that they take."""
