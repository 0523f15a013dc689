"""A decision to an approval: who may answer, what exactly, until when."""
