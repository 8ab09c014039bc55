"""Pseudo-labelling: teachers' predictions for the student of a fold, the selection of confident rows, and
their accuracy.
"""
