"""What the service costs: studies of a hundred thousand trials, workers over HTTP, hundreds of studies at once.

    python -m benchmarks.service                    # all of it, beside the peers that are installed
    python -m benchmarks.service.peers --install    # creates the peers' environments

The API is measured from outside, as `assay up` serves it, in processes of its own.
"""
