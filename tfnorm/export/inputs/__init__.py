"""Examples that an export keeps, and features drawn where it has none."""
