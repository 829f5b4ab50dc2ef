"""A small CRM: Django's admin site over one table of customers."""
