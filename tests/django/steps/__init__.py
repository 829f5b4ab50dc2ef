"""The steps of tests/django/run: the servers, and those who use them."""
