import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["harbor.localhost"]
ROOT_URLCONF = "harbor.urls"
INSTALLED_APPS = ["harbor"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["DATABASE_HOST"],
        "NAME": "postgres",
        "USER": "postgres",
        "CONN_MAX_AGE": 30,
    }
}
