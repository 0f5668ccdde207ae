"""What calls come to: partial results, which merge without loss and are plain data."""
