"""Webhooks: a project's studies tell other programs what happens to them, by signed HTTP requests.

`messages` says which events may be subscribed to and what is sent; `service.repositories.webhooks` stores a delivery in
the transaction of the event that it speaks of, so that nothing is lost and nothing is told that was not stored.
`deliverer` sends what is due, with `sender` for one request, `network` and `targets` for where it may go, `retries` for
when it is tried again.
"""
