"""How results are reported."""
