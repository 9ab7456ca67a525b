-- Where replies may differ. A row is for the lines that one of its Lua patterns
-- is found in, in upper case; the first row that matches counts.

local OPERATOR = "is not allowed through Nydus: it is for the operator of a host, at that host\r\n$"

-- A command for the operator of a host. The plain Redis is not asked: it would
-- stop, wait, or go on as a replica.
local function operator(name, ...)
  return {
    nydus = ("^%%-ERR '%s' %s"):format(name:gsub("[|-]", "%%%0"), OPERATOR), apart = true,
    why = "is for the operator of a host", ...,
  }
end

return {
  -- What even two Redis servers do not answer alike, and what is compared
  -- instead: "unordered" the elements, "unordered_deep" those of elements, too,
  -- "shape" types and counts, "type" the first byte, "walk" what a cursor finds.
  loose = {
    { "^SRANDMEMBER @INTS 2", rule = "shape", why = "by chance" },
    { "^SCAN %d", rule = "walk", why = "pages depend on the seed of the hash and on the host" },
    { "^KEYS ", rule = "unordered", why = "the order depends on the seed of the hash" },
    { "^SMEMBERS", "^SUNION ", "^SINTER ", "^SDIFF ", "^SPOP @INTS", "^SRANDMEMBER @INTS 3", "^SSCAN @S 0",
      rule = "unordered_deep", why = "the order depends on the seed of the hash" },
    { "^TIME$", rule = "shape", why = "time goes on" },
    { "^PTTL @", rule = "type", why = "time goes on" },
    { "^XADD @X %* ", rule = "type", why = "the identifier is the time" },
    { "^XINFO CONSUMERS @X G$", "^XINFO STREAM @X FULL", "^XPENDING @X G %- ", "^XPENDING @X G IDLE ",
      rule = "shape", why = "has times" },
    { "^COMMAND$", "^COMMAND LIST", "^COMMAND DOCS", rule = "unordered_deep", why = "the order depends on the seed of the hash" },
    { "^CONFIG GET ", rule = "unordered", why = "the order of the options is each server's own" },
    { "^FUNCTION LIST", rule = "unordered_deep", why = "the order depends on the seed of the hash" },
    { "^LOLWUT", rule = "type", why = "by chance" },
    { "^SLOWLOG GET$", "^SLOWLOG GET %-?1$", "^SLOWLOG LEN$", "^LATENCY HISTOGRAM$", rule = "type", why = "depends on speed" },
    { "^INFO", "^CLIENT INFO$", "^CLIENT LIST", "^MEMORY DOCTOR$", "^LATENCY DOCTOR$", rule = "type",
      why = "tells of each server itself" },
    { "^CLIENT ID$", rule = "type", why = "each server counts for itself" },
    { "^HELLO$", "^HELLO 2", "^HELLO 3", rule = "shape", why = "has a number of the client" },
  },

  -- What Nydus answers otherwise. `nydus` is a pattern of its reply; `apart`:
  -- the plain Redis is not asked, for it would suffer; `hosts`: only with so many;
  -- `in_transaction`: only there, and only there compared.
  different = {
    { "^FCALL NOTHING 01 ", "^FCALL NOTHING 2 @", nydus = "^%-ERR .*[Nn]umber of keys",
      why = "without its keys it has no host that could say that there is no such function" },
    { "^XREAD BLOCK STREAMS @", nydus = "^%-ERR syntax error\r\n$", why = "is wrong in two ways; Redis sees the other first" },
    { "^HP?EXPIRE", "^HPERSIST", "^HP?TTL", in_transaction = true, nydus = "^%+OK\r\n%+QUEUED\r\n%-EXECABORT",
      why = "the table has commands of Redis 7.4 and Nydus queues them; the host says no in EXEC" },
    { "^KEYS @", in_transaction = true, hosts = 3, nydus = "\r\n%-ERR 'keys' is for all hosts and cannot be in a transaction",
      why = "one host's keys would not be all" },
    { '^SELECT "1"$', nydus = "^%-ERR 'select' is not allowed inside a transaction through Nydus\r\n$",
      why = "the transaction would leave the shared link in another database" },
    { '^"SUBSCRIBE" A$', nydus = "^%-ERR 'subscribe' is not allowed inside a transaction through Nydus\r\n$",
      why = "what a client subscribes to is not at the host of its transaction" },
    { '^"HELLO" 2$', nydus = "^%-ERR 'hello' is not allowed inside a transaction through Nydus\r\n$",
      why = "the host would go on in another protocol" },
    { '^"EXEC"$', nydus = "^%-EXECABORT", why = "because of what Nydus has refused" },
    { "^SWAPDB . ", nydus = "^%-ERR 'swapdb' is not allowed through Nydus: it would exchange the databases of all clients\r\n$",
      why = "databases are numbers on shared hosts", apart = true },
    { "^CONFIG SET .", "^CONFIG REWRITE", nydus = "^%-ERR 'config' is not allowed through Nydus: its configuration is config.lua",
      why = "a configuration of a file, for all workers", apart = true },
    { "^CLIENT SETINFO", "^CLIENT NO%-TOUCH O", nydus = "", why = "Redis 7.0 has it not" },
    { "^COMMAND$", "^COMMAND INFO$", "^COMMAND COUNT$", "^COMMAND LIST$", "^COMMAND LIST FILTERBY ACLCAT HYPERLOGLOG$",
      nydus = "^[*:~]%d+\r\n", why = "lists what is not refused" },
    { "^COMMAND DOCS$", nydus = "^[*%%]%d+\r\n", why = "lists what is not refused" },
    { "^COMMAND INFO OBJECT MEMORY XGROUP CLIENT$", nydus = "^%*4\r\n%*10\r\n",
      why = "subcommands in the order of their names, and two of Redis 7.2" },
    { "^COMMAND HELP$", "^CLIENT HELP$", "^PUBSUB HELP$", "^SLOWLOG HELP$", "^CONFIG HELP$", "^MEMORY HELP$",
      "^LATENCY HELP$", "^CLUSTER HELP$",
      nydus = "^%*%d+\r\n%+%u+ <subcommand> %[<argument> %.%.%.%], of these:\r\n",
      why = "names the subcommands that Nydus has" },
    { "^WAITAOF 0 0$", nydus = "^%-ERR wrong number of arguments for 'waitaof' command", why = "Redis 7.0 has it not" },
    { "^NYDUS", nydus = "^[^_]", apart = true, why = "no Redis has it" },
    { "^CLUSTER INFO$", nydus = "cluster_state:ok\r\n", why = "one shard, so that clients that ask are content" },
    { "^CLUSTER KEYSLOT .", nydus = "^:%d+\r\n$", why = "one shard, so that clients that ask are content" },
    { "^CLUSTER MYID$", nydus = "^%$40\r\n%x+\r\n$", why = "one shard, so that clients that ask are content" },
    { "^CLUSTER SHARDS$", "^CLUSTER SLOTS$", nydus = "^%*1\r\n", why = "one shard, so that clients that ask are content" },
    operator("acl", "^ACL ."),
    operator("bgrewriteaof", "^BGREWRITEAOF$"),
    operator("bgsave", "^BGSAVE"),
    operator("debug", "^DEBUG ."),
    operator("failover", "^FAILOVER"),
    operator("lastsave", "^LASTSAVE$"),
    operator("memory|malloc-stats", "^MEMORY MALLOC%-STATS$"),
    operator("memory|stats", "^MEMORY STATS$"),
    operator("migrate", "^MIGRATE ."),
    operator("module", "^MODULE ."),
    operator("monitor", "^MONITOR"),
    operator("pfselftest", "^PFSELFTEST$"),
    operator("psync", "^PSYNC ."),
    operator("replconf", "^REPLCONF"),
    operator("replicaof", "^REPLICAOF .+ "),
    operator("save", "^SAVE$"),
    operator("script|debug", "^SCRIPT DEBUG ."),
    operator("shutdown", "^SHUTDOWN"),
    operator("slaveof", "^SLAVEOF .+ "),
    operator("sync", "^SYNC$"),
  },
}
