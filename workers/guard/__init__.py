"""A command in its own process, with a guard that outlives whoever started it: nothing of it ever stays behind.

    worker ── front ── guard ── command ── whatever it starts

`guarded` is the worker's side, `program` is the guard. The guard is the one to whom the kernel gives every orphan among
its descendants, so it finds also those that left the command's process group. It ends them all when the command ends,
when the worker says so, and when the worker is no more. The front keeps the guard out of reach of those who kill the
children of a dying worker (Ray does), and in the tree, for those who measure what a worker takes.

The guard is a program of the standard library alone, started in 20 milliseconds. On systems other than Linux it ends
the command's process group, and no more than that.
"""
