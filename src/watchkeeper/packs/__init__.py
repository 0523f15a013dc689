"""Files to a rulebook: rules, runbooks, risk class, scenarios."""
