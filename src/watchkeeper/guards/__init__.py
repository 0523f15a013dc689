"""One file a guard: each takes a proposal and a situation, and gives a finding."""
