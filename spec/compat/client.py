# python3-redis against the server at the port given: a line for each thing
# that does not work, and exit code 1.
#
#   client.py PORT SOCKET HOSTS

import sys
import threading

import redis

port, path, hosts = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
checks = []


def check(fn):
    checks.append(fn)
    return fn


def connect(**options):
    return redis.Redis(port=port, socket_timeout=10, **options)


def equal(want, got):
    if want != got:
        raise AssertionError("wanted %.200r, got %.200r" % (want, got))


def raises(kind, words, fn, *args):
    try:
        got = fn(*args)
    except kind as error:
        if words not in str(error):
            raise AssertionError("wanted an error with %r, got %r" % (words, str(error)))
        if type(error) is not kind:
            raise AssertionError("wanted %s, got %s" % (kind.__name__, type(error).__name__))
        return
    raise AssertionError("wanted %s, got %.200r" % (kind.__name__, got))


@check
def simple_commands():
    r = connect()
    equal(True, r.ping())
    equal(True, r.set("py:a", "1"))
    equal(b"1", r.get("py:a"))
    equal(2, r.incr("py:a"))
    equal(None, r.get("py:none"))
    equal(True, r.expire("py:a", 100))
    equal(True, 0 < r.ttl("py:a") <= 100)
    equal(b"string", r.type("py:a"))
    equal(2, r.hset("py:h", mapping={"f": "v", "g": "w"}))
    equal({b"f": b"v", b"g": b"w"}, r.hgetall("py:h"))
    equal(2, r.zadd("py:z", {"x": 1.5, "y": 2}))
    equal([(b"x", 1.5), (b"y", 2.0)], r.zrange("py:z", 0, -1, withscores=True))
    equal(2, r.sadd("py:s", 1, 2))
    equal({b"1", b"2"}, r.smembers("py:s"))
    equal(True, r.set("py:nx", "v", nx=True, ex=50))
    equal(None, r.set("py:nx", "v", nx=True))


@check
def several_keys():
    r = connect()
    keys = ["py:m%d" % i for i in range(200)]
    equal(True, r.mset({key: key + "!" for key in keys}))
    equal([(key + "!").encode() for key in keys] + [None, b"py:m0!"], r.mget(keys + ["py:none", "py:m0"]))
    equal(201, r.exists(*keys, "py:m3"))
    equal(200, r.touch(*keys))
    equal(100, r.unlink(*keys[:100]))
    equal(100, r.delete(*keys))


@check
def pipeline():
    r = connect()
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.set("py:p%d" % i, i)
        pipe.get("py:p%d" % i)
    replies = pipe.execute()
    equal([True] * 1000, replies[::2])
    equal([b"%d" % i for i in range(1000)], replies[1::2])


@check
def errors_in_a_pipeline():
    r = connect()
    pipe = r.pipeline(transaction=False)
    pipe.set("py:e", "text").lpush("py:e", "x").get("py:e").incr("py:e").mget("py:e", "py:none")
    replies = pipe.execute(raise_on_error=False)
    equal([True, redis.ResponseError, bytes, redis.ResponseError, list],
          [got if got is True else type(got) for got in replies])
    equal([b"text", None], replies[4])


@check
def errors():
    r = connect()
    r.set("py:e", "text")
    raises(redis.ResponseError, "WRONGTYPE", r.lpush, "py:e", "x")
    raises(redis.ResponseError, "not an integer", r.incr, "py:e")
    raises(redis.ResponseError, "unknown command", r.execute_command, "NOSUCH", "x")
    raises(redis.ResponseError, "wrong number of arguments", r.execute_command, "GET")
    raises(redis.exceptions.NoScriptError, "No matching script", r.evalsha, "0" * 40, 1, "py:e")
    if hosts > 1:
        keys = ["py:c%d" % i for i in range(20)]
        raises(redis.ResponseError, "CROSSSLOT", r.sunion, keys)
    raises(redis.ResponseError, "DB index is out of range", connect(db=99).ping)
    equal(b"text", r.get("py:e"))


@check
def decoded_responses():
    r = connect(decode_responses=True)
    equal(True, r.set("py:\u00e9", "\u20ac"))
    equal("\u20ac", r.get("py:\u00e9"))
    equal(["\u20ac", None], r.mget("py:\u00e9", "py:none"))
    equal(True, "py:\u00e9" in r.keys("py:*"))


@check
def unix_socket():
    r = redis.Redis(unix_socket_path=path, socket_timeout=10)
    equal(True, r.set("py:u", "over a path"))
    equal(b"over a path", connect().get("py:u"))


@check
def databases():
    zero, three = connect(), connect(db=3)
    zero.set("py:db", "zero")
    three.set("py:db", "three")
    equal([b"zero", b"three"], [zero.get("py:db"), three.get("py:db")])
    equal(1, three.dbsize())
    three.flushdb()
    equal([b"zero", None], [zero.get("py:db"), three.get("py:db")])
    url = redis.Redis.from_url("redis://127.0.0.1:%d/5" % port)
    url.set("py:db", "five")
    equal([b"zero", b"five"], [zero.get("py:db"), url.get("py:db")])


@check
def client_names():
    r = connect(client_name="named", single_connection_client=True)
    equal("named", r.client_getname())
    equal(True, r.client_setname("other"))
    equal("other", r.client_getname())
    equal("other", r.client_info()["name"])
    equal(True, any(one["name"] == "other" for one in r.client_list()))
    equal(True, r.client_id() > 0)


@check
def server_commands():
    r = connect()
    equal("standalone", r.info()["redis_mode"])
    equal("master", r.info("replication")["role"])
    equal(True, r.dbsize() > 0)
    equal({"save": ""}, r.config_get("save"))
    equal(True, isinstance(r.time()[0], int))
    equal(b"hello", r.echo("hello"))
    equal(2, r.command()["get"]["arity"])
    equal("master", r.role()[0].decode())


@check
def binary_values():
    r = connect()
    value = bytes(range(256)) * 16 + b"\r\n$-1\r\n*2\r\n"
    key = b"py:\x00\r\n\xff\xfe"
    equal(True, r.set(key, value))
    equal(value, r.get(key))
    equal([value], r.mget([key]))
    equal(True, r.set("py:empty", b""))
    equal(b"", r.get("py:empty"))


@check
def big_values():
    r = connect()
    value = bytes(bytearray(i * 7 % 251 for i in range(65536))) * 128
    equal(True, r.set("py:big", value))
    equal(True, value == r.get("py:big"))
    equal(True, [value, None, value] == r.mget("py:big", "py:none", "py:big"))
    equal(len(value), r.strlen("py:big"))
    equal(1, r.delete("py:big"))


@check
def scripts():
    r = connect()
    add = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    equal(5, add(keys=["py:lua"], args=[5]))
    equal(12, add(keys=["py:lua"], args=[7]))
    with r.lock("py:lock", timeout=5):
        equal(True, r.exists("py:lock") == 1)
    equal(0, r.exists("py:lock"))


@check
def transactions():
    r = connect()
    pipe = r.pipeline()
    pipe.set("py:{t}:a", 1).incr("py:{t}:a").rpush("py:{t}:l", "x", "y").lrange("py:{t}:l", 0, -1)
    equal([True, 2, 2, [b"x", b"y"]], pipe.execute())
    pipe.incr("py:{t}:a").lpush("py:{t}:a", "x").get("py:{t}:a")
    replies = pipe.execute(raise_on_error=False)
    equal([3, redis.ResponseError, b"3"], [got if type(got) is not redis.ResponseError else type(got) for got in replies])
    if hosts > 1:
        for i in range(20):
            pipe.set("py:t%d" % i, i)
        try:
            pipe.execute()
            raise AssertionError("keys of several hosts in one transaction")
        except redis.ResponseError as error:
            equal(True, "CROSSSLOT" in str(error) or "EXECABORT" in str(error))


@check
def optimistic_locking():
    r, other = connect(), connect()
    r.set("py:watched", 1)
    seen = []

    def double(pipe):
        value = int(pipe.get("py:watched"))
        if not seen:
            other.set("py:watched", 10)
        seen.append(value)
        pipe.multi()
        pipe.set("py:watched", value * 2)

    equal([True], r.transaction(double, "py:watched"))
    equal([1, 10], seen)
    equal(b"20", r.get("py:watched"))
    with r.pipeline() as pipe:
        pipe.watch("py:watched")
        other.incr("py:watched")
        pipe.multi()
        pipe.get("py:watched")
        raises(redis.WatchError, "Watched variable changed", pipe.execute)


@check
def blocking():
    r, other = connect(), connect()
    got = []
    thread = threading.Thread(target=lambda: got.append(r.blpop("py:queue", timeout=10)))
    thread.start()
    other.rpush("py:queue", "job")
    thread.join(10)
    equal([(b"py:queue", b"job")], got)
    equal(None, r.brpop("py:queue", timeout=0.05))
    equal(None, r.bzpopmin("py:none", timeout=0.05))
    other.zadd("py:bz", {"a": 1})
    equal((b"py:bz", b"a", 1.0), r.bzpopmin("py:bz", timeout=5))


@check
def streams():
    r = connect()
    first = r.xadd("py:x", {"f": "v"})
    equal(True, r.xgroup_create("py:x", "g", id="0"))
    equal([[b"py:x", [(first, {b"f": b"v"})]]], r.xreadgroup("g", "ann", {"py:x": ">"}, block=1000))
    equal(1, r.xack("py:x", "g", first))
    equal([], r.xread({"py:x": "$"}, block=20))
    equal(1, r.xinfo_stream("py:x")["length"])
    equal(0, r.xpending("py:x", "g")["pending"])


@check
def walks():
    r = connect(db=7)
    r.flushdb()
    keys = {b"py:w%d" % i for i in range(500)}
    r.mset({key: 1 for key in keys})
    r.sadd("py:set", *range(300))
    r.hset("py:hash", mapping={"f%d" % i: i for i in range(300)})
    equal(keys, set(r.scan_iter(match="py:w*", count=50)))
    equal({b"py:set"}, set(r.scan_iter(_type="set")))
    equal(300, len(set(r.sscan_iter("py:set"))))
    equal(300, len(dict(r.hscan_iter("py:hash"))))
    equal(502, r.dbsize())
    r.flushdb()


@check
def publishing():
    r = connect()
    pubsub = connect().pubsub()
    channels = ["py:c%d" % i for i in range(10)]
    pubsub.subscribe(*channels)
    pubsub.psubscribe("py:p*")
    for i in range(11):
        equal(i + 1, pubsub.get_message(timeout=5)["data"])
    for channel in channels:
        equal(1, r.publish(channel, "to " + channel))
        message = pubsub.get_message(timeout=5)
        equal(("message", channel.encode(), b"to " + channel.encode()),
              (message["type"], message["channel"], message["data"]))
    r.publish("py:pattern", "hello")
    message = pubsub.get_message(timeout=5)
    equal((b"py:p*", b"py:pattern", b"hello"), (message["pattern"], message["channel"], message["data"]))
    pubsub.ping()
    equal("pong", pubsub.get_message(timeout=5)["type"])
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    for i in range(11):
        equal(True, pubsub.get_message(timeout=5)["type"] in ("unsubscribe", "punsubscribe"))
    pubsub.close()


@check
def what_an_operator_asks():
    r = connect(client_name="py-operator")
    equal(True, r.slowlog_reset())
    r.eval("local s = redis.call('TIME') repeat local n = redis.call('TIME') "
           "until (n[1] - s[1]) * 1000000 + n[2] - s[2] > 20000", 1, "py:slow")
    slow = [one for one in r.slowlog_get(128) if one["command"].endswith(b"1 py:slow")]
    equal(1, len(slow))
    equal(True, slow[0]["duration"] >= 20000 and slow[0]["command"].startswith(b"EVAL local s"))
    equal(True, r.slowlog_len() >= 1)
    r.set("py:counted", "1")
    stats = r.info("commandstats")
    equal(True, stats["cmdstat_set"]["calls"] >= 1 and stats["cmdstat_eval"]["usec"] >= 20000)
    equal(True, r.info("all")["db0"]["keys"] > 0)
    equal(0, r.info()["cluster_enabled"])
    equal(True, r.config_resetstat())
    equal(False, "cmdstat_eval" in r.info("commandstats"))
    histogram = r.execute_command("LATENCY HISTOGRAM", "config|resetstat")
    equal([b"config|resetstat", [b"calls", 1]], [histogram[0], histogram[1][:2]])
    equal([], r.execute_command("LATENCY LATEST"))
    equal(True, r.execute_command("MEMORY DOCTOR").startswith(b"Nydus"))


@check
def health_check():
    r = connect(health_check_interval=0.000001, single_connection_client=True)
    for i in range(20):
        equal(True, r.set("py:health", i))


@check
def a_pool_of_50_threads():
    pool = redis.ConnectionPool(port=port, socket_timeout=20, max_connections=50)
    wrong, barrier = [], threading.Barrier(50)

    def work(number):
        r = redis.Redis(connection_pool=pool)
        barrier.wait(20)
        try:
            for i in range(20):
                key = "py:t%d:%d" % (number, i)
                r.set(key, key)
                if r.get(key) != key.encode() or r.incr("py:count%d" % (i % 5)) < 1:
                    wrong.append(key)
        except Exception as error:
            wrong.append("%s: %s" % (type(error).__name__, error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    equal([], wrong)
    r = connect()
    equal(1000, sum(int(r.get("py:count%d" % i)) for i in range(5)))
    pool.disconnect()


failed = 0
for fn in checks:
    try:
        fn()
    except Exception as problem:
        failed += 1
        print("%s: %s: %s" % (fn.__name__.replace("_", " "), type(problem).__name__, problem))
print("%d of %d worked" % (len(checks) - failed, len(checks)))
sys.exit(failed > 0)
