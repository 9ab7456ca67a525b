-- The configuration of Nydus, and the reference of its options: each is shown
-- with its default. `make run` starts Nydus with this file.
--
-- A configuration is Lua that returns a table. It may compute, read the
-- environment with os.getenv, and require("name") a name.lua that lies beside
-- it; it cannot touch files or start programs. Reload it with SIGHUP, check it
-- first with `nydus --check config.lua`: every mistake is told at once.

-- `make run` says here where its three Redis servers are.
local function port(name, default)
  return tonumber(os.getenv(name)) or default
end

return {
  -- Processes that serve clients: a number, or "auto" = one per CPU this process may use.
  workers = "auto",

  log = {
    level = "info", -- "debug", "info", "warn" or "error"
    -- file = "/var/log/nydus.log", -- default: stderr. SIGUSR1 opens it again after a rotation
  },

  -- Memory that the router scripts of one worker may keep; a script that wants
  -- more is stopped (and may hold four times as much until then). Sizes are bytes, or
  -- texts with kb, mb, gb, tb (of 1024).
  router_memory = "64mb",

  -- A cluster is a named set of Redis servers with a router and, if clients may
  -- connect to it, an address. With one cluster only, its fields may also stand
  -- at the top level, without `clusters`; its name is "main" then.
  clusters = {
    main = {
      -- Where clients connect: "127.0.0.1:6380", "[::1]:6380", ":6380" or 6380 (every
      -- address of this machine), "unix:/run/nydus/main.sock", or a list of those.
      -- A cluster that only other clusters' scripts use needs none.
      listen = os.getenv("NYDUS_RUN_LISTEN") or "127.0.0.1:6380",

      -- What the hosts are. "redis" is all there is so far.
      engine = "redis",

      -- Which host gets a command:
      --   "all"          every host; the client gets an array of the replies (the default)
      --   "ketama"       by the key, on a ring: few keys move when hosts come and go
      --   "modulus"      by the key: hash modulo the number of hosts
      --   "jump"         by the key: jump hash, for hosts that are only added at the end
      --   "rendezvous"   by the key: highest random weight
      --   "slots"        by the key: the 16384 slots of Redis Cluster in equal parts
      --   "round_robin"  one after the other
      --   "random"       any
      --   "least_pending"  the one that owes the fewest replies
      --   "first"        the first that is not down
      --   "routers/mine.lua"   a script of your own, relative to this file;
      --                        { "routers/mine.lua", any = "options" } hands it options
      --
      -- The built-in ones take options too, here with the defaults of ketama:
      --   router = {
      --     "ketama",
      --     compat = "nydus",  -- whose placement: "nydus", "twemproxy", or "redis" (plain and correct)
      --     hash = "md5",      -- md5 (ketama), crc32 (modulus), xxh64 (jump, rendezvous), crc16 (slots);
      --                        -- with compat = "twemproxy": fnv1a_64; there are also fnv1_64, fnv1a_32,
      --                        -- fnv1_32, murmur, crc32a, jenkins, hsieh and one_at_a_time
      --     hash_tag = "{}",   -- hash only what stands between these two; default: the whole key
      --     signed = true,     -- hash bytes from 0x80 on as signed, as twemproxy does on x86
      --     eject = true,      -- see eject below
      --   }
      router = "ketama",

      -- Leave hosts that are down out of the choice: their keys go to other hosts
      -- meanwhile. Default: true for ketama, round_robin, random and first, false
      -- for the others and with compat = "twemproxy". false: an error instead.
      -- eject = true,

      -- Every host inherits these, and may have its own.
      defaults = {
        host = "127.0.0.1",    -- name or address
        port = 6379,
        -- unix_socket_path = "/run/redis/redis.sock", -- in place of host and port
        db = 0,
        -- user = "nydus",     -- for Redis ACLs, with a password; default: none
        -- password = os.getenv("REDIS_PASSWORD"), -- default: none
        timeout = 1.0,         -- seconds Redis may take for a reply
        connect_timeout = 1.0, -- seconds a connection may take
        weight = 1,            -- a host with 2 gets twice as many keys
        connections = 1,       -- links of each worker to the host
      },

      -- The Redis servers in routing order: a list, or numeric keys. Each is a table,
      -- a URL like "redis://user:password@10.0.0.3:6379/2" or "unix:///run/redis.sock?db=1",
      -- or just "10.0.0.3:6379". Write special characters of a URL's password as %XX.
      hosts = {
        -- identifier is what the ring hashes: with one of its own, a host may move to
        -- another address and keep its keys. Default: redis://host:port/db.
        [0] = { port = port("NYDUS_RUN_PORT1", 6379), identifier = "a" },
        [1] = { port = port("NYDUS_RUN_PORT2", 6381), identifier = "b" },
        [2] = { port = port("NYDUS_RUN_PORT3", 6382), identifier = "c" },
      },

      -- When a host fails:
      max_connection_retries = 20, -- other hosts one request may be tried on
      failure_limit = 1,           -- failures in a row that mark a host down; 2 with compat = "twemproxy"
      retry_timeout = 30,          -- seconds until a host that is down is tried again

      -- What clients may do:
      max_clients = 10000,         -- connections, of all workers together
      max_request = "1gb",         -- the largest request
      max_reply_buffer = "256mb",  -- replies a client may leave unread before it is closed
      client_timeout = 0,          -- close a client that is silent for so many seconds; 0: never

      -- Who clients may be. Without `password` and `users` they need no password (the
      -- default). A password is plain, or "sha256:" and the 64 digits of
      -- `printf %s "$PASSWORD" | sha256sum`; Nydus itself keeps only the latter. A reload
      -- holds at once: whose password has changed has to log in again, and so has everybody
      -- where there was none before.
      -- password = os.getenv("NYDUS_PASSWORD"), -- of the user `default`: AUTH password

      -- Users: AUTH name password. Without a password for `default`, here or above, every
      -- client has to log in as one of the others; `password = false` of `default` lets in
      -- whoever does not log in, with the rules of `default`.
      -- users = {
      --   ann = {
      --     password = "sha256:…",
      --     -- What it may run: rules in the words of Redis's ACL, from left to right. They
      --     -- begin with nothing when the first is a plus, with everything when it is a minus;
      --     -- without rules: everything. Categories (@read, @write, @keyspace, @dangerous, … and
      --     -- @all), commands, and subcommands. What only the hosts know (a module's command)
      --     -- is added by "+@all" or by its name, which needs a dot ("+json.get"), and taken away
      --     -- by its category, too.
      --     commands = { "+@read", "-keys", "+config|get" },
      --     -- The keys it may use, as patterns; without: all keys. Only keys that a command
      --     -- names are checked: KEYS, SCAN and RANDOMKEY tell of all keys, and a script does
      --     -- what it likes ("-@scripting", "-keys", "-scan", "-randomkey" take them away;
      --     -- "-@dangerous" has FLUSHALL and the like). Channels are no keys.
      --     keys = { "user:*", "shared:?" },
      --   },
      -- },

      -- What nobody may run, whatever the users' rules say. Default: nothing.
      -- deny = { "flushall", "config|set", "@dangerous" },
    },
  },
}
