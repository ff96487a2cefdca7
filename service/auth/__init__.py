"""Who asks, and what they may: tokens, callers, limits.

`door` finds out who asks before anything else happens, `callers` is what routes say that they need, `tokens` is what a
secret looks like, `authenticator` knows the tokens and the projects, `limits` is how much somebody may ask.
"""
