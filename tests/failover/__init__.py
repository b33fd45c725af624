"""Failover trials: processes of two languages share a directory, and those that host it come and go. See README.md."""
