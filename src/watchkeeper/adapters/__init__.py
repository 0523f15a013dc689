"""One folder or file for each thing outside."""
