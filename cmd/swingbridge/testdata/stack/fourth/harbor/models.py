from django.db import models


class Quay(models.Model):
    name = models.TextField()


class Ship(models.Model):
    name = models.TextField()
    quay = models.ForeignKey(Quay, null=True, on_delete=models.SET_NULL)
    arrived = models.DateTimeField(null=True, auto_now_add=True, db_index=True)

    @classmethod
    def arrive(cls, name):
        ship = cls.objects.create(name=name, quay=Quay.objects.first())
        Pilot.objects.create(ship=ship)
        return ship

    class Meta:
        indexes = [models.Index(fields=["name"], name="ships_by_name")]


class Pilot(models.Model):
    ship = models.ForeignKey(Ship, on_delete=models.CASCADE)


class Unloading(models.Model):
    ship = models.TextField()
    version = models.TextField()
