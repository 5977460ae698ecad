"""What the cases of tests/browser/package run against."""
