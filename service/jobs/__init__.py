"""What is done for a study beside its runs: checks before the first one, and a finalization of its result.

`checks` and `finalization` say which jobs there are and what follows from their results; `runner` has them carried out.
"""
