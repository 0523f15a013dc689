"""Entity files to a catalogue: services, dependencies, owners, blast radius."""
