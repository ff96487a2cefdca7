"""Studies as files: exported from one service, imported into another, with nothing lost that the search knows.

    {"format": "assay-study", "version": 1, "assay": "0.4.0", "exported_at": "...", "counts": {"run": 60, ...}}
    {"record": "study", "name": "digits-lenet", "state": "completed", "spec": {...}, ...}
    {"record": "trial", "number": 0, "config": {...}, ...}
    ...
    {"end": {"lines": 812, "sha256": "51f0..."}}

`records` has what stands in the lines, `exporting` writes them, `reading` reads them, `checking` says whether they are
one study whose history holds together, `storing` makes rows of them, and `tables` writes CSV for people.
"""
