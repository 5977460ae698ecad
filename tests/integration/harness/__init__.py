"""Everything the tests need to stand outside the program and look at it."""
