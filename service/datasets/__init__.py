"""Uploaded datasets: what is in them (`schema`, and a module per format), found out in a process of its own
(`inspection`), and how studies name them (`references`).
"""
