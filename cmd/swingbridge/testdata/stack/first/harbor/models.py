from django.db import models


class Ship(models.Model):
    name = models.TextField()

    @classmethod
    def arrive(cls, name):
        return cls.objects.create(name=name)


class Unloading(models.Model):
    ship = models.TextField()
    version = models.TextField()
