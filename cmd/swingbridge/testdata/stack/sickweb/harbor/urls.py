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
    return HttpResponse("the harbor master is ill", status=500)


urlpatterns = [path("", index), path("ships", ships), path("health", health)]
