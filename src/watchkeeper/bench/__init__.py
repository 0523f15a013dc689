"""`wk bench`: what this machine does with Watchkeeper, measured on real processes and checked afterwards.

    home       the files of a node that may act by itself, and as many services as are needed
    outside    the process beyond the node: sends alerts, and is the target that counts effects
    node       `wk up` as a process, its CPU and memory
    bare       the same durable writes with nothing around them, to compare with
    measures   one function a figure; each ends with the proof that nothing was lost and nothing done twice
    report     tables, JSON, plots, the page in the docs

Speed is shown here, never asserted by a test.
"""
