"""The HTTP API, one module per resource; `service.app` puts them together.

A route reads its input, calls what does the work inside one transaction, and shapes the answer with `service.views`.
To add a resource: a module with a `router` here, and its name in `ROUTERS` of `service.app`.
"""
