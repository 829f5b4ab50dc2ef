"""The one table."""

from django.db import models


class Customer(models.Model):
    """A customer. `token` names the POST that made the row; it is deliberately not unique: a unique column would
    hide a doubled POST instead of showing it."""

    name = models.CharField(max_length=100)
    token = models.CharField(max_length=64, db_index=True)
    document = models.FileField(upload_to="documents", blank=True)

    def __str__(self):
        return self.name
