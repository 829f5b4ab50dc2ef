"""Settings of the CRM behind the balancer. Everything that differs between machines comes from the environment."""

import os
from pathlib import Path

DATA = Path(os.environ["CRM_DATA"])

SECRET_KEY = "only for tests: every instance must have the same one, or sessions end at each change of instance"
DEBUG = False
# The balancer passes the client's Host on, so this list is about names that clients use. A health probe must use
# one of them too: health.host in the balancer's file.
ALLOWED_HOSTS = ["crm.localhost"]
ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "crm",
]
MIDDLEWARE = [
    "crm.instance.served_by",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# One file, several writing processes: WAL lets readers go on beside the one writer, IMMEDIATE takes the write lock
# at the start of a transaction (a later upgrade of a read lock fails at once, whatever the timeout).
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "crm.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    },
}

STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA / "media"

# A fast hash: the test logs in dozens of times, and passwords are not what it is about.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
