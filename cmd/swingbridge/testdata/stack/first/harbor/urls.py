from django.http import HttpResponse
from django.urls import path

from harbor.jobs import VERSION, queue
from harbor.models import Ship


def index(request):
    return HttpResponse(VERSION)


def ships(request):
    ship = Ship.arrive(request.GET["name"])
    queue.rpush("unload", ship.name)
    return HttpResponse(VERSION, status=201)


def health(request):
    Ship.objects.first()
    queue.ping()
    return HttpResponse("well")


urlpatterns = [path("", index), path("ships", ships), path("health", health)]
