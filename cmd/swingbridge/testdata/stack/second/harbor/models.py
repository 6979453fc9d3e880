from django.db import models


class Quay(models.Model):
    name = models.TextField()


class Ship(models.Model):
    name = models.TextField()
    quay = models.ForeignKey(Quay, null=True, on_delete=models.SET_NULL)

    @classmethod
    def arrive(cls, name):
        return cls.objects.create(name=name, quay=Quay.objects.first())


class Unloading(models.Model):
    ship = models.TextField()
    version = models.TextField()
