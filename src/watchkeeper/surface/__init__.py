"""What people and scripts touch: API and command line."""
