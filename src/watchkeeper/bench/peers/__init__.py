"""Other software that people use for the same work, driven by the same sender against the same target, where installed.

Each is installed by its package's name into a folder of its own below one that `wk bench --peers DIR` names; nothing of
them is a dependency of ours. What is not there is skipped with a word.
"""
