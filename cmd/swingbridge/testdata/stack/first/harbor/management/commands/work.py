import signal

from django.core.management.base import BaseCommand

from harbor.jobs import VERSION, queue
from harbor.models import Unloading


class Command(BaseCommand):
    asked_to_end = False

    def handle(self, **options):
        signal.signal(signal.SIGTERM, self.end)
        print("the crane stands ready", flush=True)
        while not self.asked_to_end:
            job = queue.blpop("unload", timeout=1)
            if job:  # a job that was taken is done, also if the end was asked for since
                Unloading.objects.create(ship=job[1].decode(), version=VERSION)

    def end(self, *_):
        self.asked_to_end = True
