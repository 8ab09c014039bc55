"""Sanity checks of a whole pipeline with one batch, before long training; one module per part, each yields Findings.

Source: Karpathy 2019, "A Recipe for Training Neural Networks", section 2: overfit one batch, verify the loss at
the start, look at what goes into the network.
"""
