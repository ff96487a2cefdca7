"""Runs that people's own workers carry out: claimed, reported and ended over HTTP, any language.

`work` is what they may do to a study, each thing within a transaction that holds the lock of its row; `desk` takes
what many of them want at once and does it in few transactions.
"""
