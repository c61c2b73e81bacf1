"""How a result is shown and written."""
