"""The admin site's page for customers."""

import time

from django.conf import settings
from django.contrib import admin

from crm import instance
from crm.models import Customer

SLOW_SECONDS = 10


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Django's own pages, but that adding a customer called «slow …» dawdles after the commit: the row is there,
    the answer is not yet. That is the moment in which a balancer that repeats a POST would double it."""

    list_display = ["name", "token", "document"]
    search_fields = ["name"]

    def add_view(self, request, form_url="", extra_context=None):
        response = super().add_view(request, form_url, extra_context)
        if request.method == "POST" and request.POST.get("name", "").startswith("slow "):
            marker = settings.DATA / "in-flight" / request.POST["token"]
            partial = marker.with_suffix(".partial")
            partial.write_text(instance.NAME)
            partial.rename(marker)  # seen whole or not at all
            time.sleep(SLOW_SECONDS)
        return response
