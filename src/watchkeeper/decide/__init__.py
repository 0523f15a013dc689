"""An alert and a situation to a decision."""
