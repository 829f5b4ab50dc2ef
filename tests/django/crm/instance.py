"""Which of the instances this process is."""

import os

NAME = os.environ.get("CRM_INSTANCE", "none")


def served_by(get_response):
    """Middleware: names the instance in every answer, so that a test can see who served it."""

    def middleware(request):
        response = get_response(request)
        response["X-Served-By"] = NAME
        return response

    return middleware
