"""Works a job of the benchmark off with the Python library atomic-redis-streams: a caller of it, and nothing else."""

import json
import os
import pickle
import resource
import sys
import threading
import time

import redis
from atomic_redis_streams import Persistable, PersistableAttribute, RedisStreamConsumer

JOB = json.loads(sys.argv[1])
# It cannot be told where to stop: it gets a stream that ends where the job ends.
STREAM = JOB["stream"] + "-python"


class Tracker(Persistable):
    sold = PersistableAttribute(default=0)

    @property
    def unique_id(self):
        return "tracker"

    def handle(self, message, transaction):
        self.sold += int(message["quantity"])
        if message["quantity"] == "9":
            transaction.publish(JOB["alerts"], {"sku": message["sku"], "sold": str(self.sold)})


def end_with_parent():
    # A read of its own: the interpreter could not end while one of sys.stdin is held.
    while os.read(0, 1024):
        pass
    os._exit(1)


def fill(connection):
    for first in range(0, JOB["entries"], 1000):
        pipeline = connection.pipeline(transaction=False)
        for number in range(first, min(first + 1000, JOB["entries"])):
            pipeline.xadd(STREAM, {"sku": f"sku-{number}", "quantity": number % 10})
        pipeline.execute()


def server_cpu_s(connection):
    info = connection.info("cpu")
    return info["used_cpu_user"] + info["used_cpu_sys"]


def main():
    threading.Thread(target=end_with_parent, daemon=True).start()
    connection = redis.Redis.from_url(JOB["url"])
    fill(connection)
    server, client, began = server_cpu_s(connection), time.process_time(), time.monotonic()
    consumer = RedisStreamConsumer(
        stream=STREAM, consumer_id=JOB["group"], handler=Tracker(), redis_url=JOB["url"]
    )
    consumer.start()
    # The last entry is worth an alert, and its alert is committed with it.
    while connection.xlen(JOB["alerts"]) < JOB["entries"] // 10:
        time.sleep(0.005)
    elapsed, client = time.monotonic() - began, time.process_time() - client
    server = server_cpu_s(connection) - server
    peak_rss_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    consumer.stop()
    state = pickle.loads(connection.hget("atomic_streams:state:tracker", "sold"))
    print(json.dumps(dict(elapsed_s=elapsed, client_s=client, server_s=server, peak_rss_kb=peak_rss_kb, state=state)))


main()
