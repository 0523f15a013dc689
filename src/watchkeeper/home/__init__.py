"""A folder of files to one configuration, and what differs between two."""
