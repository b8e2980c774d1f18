"""A consumer of the Python library, until standard input ends. Its argument is the server."""

import sys

from atomic_redis_streams import Persistable, PersistableAttribute, RedisStreamConsumer


class Inventory(Persistable):
    sold = PersistableAttribute(default=0)
    articles = PersistableAttribute(default=None)
    seen = PersistableAttribute(default=None)
    _rate = PersistableAttribute(default=1.5)

    @property
    def unique_id(self):
        return "inventory"

    def handle(self, message, transaction):
        sku, quantity = message["sku"], int(message["quantity"])
        self.sold += quantity
        articles = dict(self.articles or {})
        articles[sku] = articles.get(sku, 0) + quantity
        self.articles = articles
        self.seen = (self.seen or set()) | {sku}
        transaction.publish("totals", {"sold": str(self.sold)})


consumer = RedisStreamConsumer("sales", "inventory-tracker", Inventory(), sys.argv[1])
consumer.start()
sys.stdin.read()
consumer.stop()
