"""Supernets: one network that holds all architectures of a space, and how an architecture is found in it.

relaxation   how what is learnt of the architecture becomes weights of the operations
mixture      how the operations of an edge answer together
updates      who learns what from which half of the examples
training     the search, epoch by epoch; at its end `ranking`
"""
