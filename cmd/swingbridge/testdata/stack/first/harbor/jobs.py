import os
from pathlib import Path

import redis

VERSION = Path("version.txt").read_text().strip()
queue = redis.Redis(host=os.environ["REDIS_HOST"])
