"""Requests of several clients, run as one."""
