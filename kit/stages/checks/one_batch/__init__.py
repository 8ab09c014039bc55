"""What one batch shows of a whole pipeline before hours are spent; a module a part, each gives Findings.

Source: Karpathy 2019, "A Recipe for Training Neural Networks", section 2: overfit one batch, verify the loss at
the start, look at what goes into the network.
"""
