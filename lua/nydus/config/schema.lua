-- SPDX-License-Identifier: Apache-2.0
-- What may stand in config.lua, as data: every field with its type, range,
-- default and meaning. The types are in nydus.config.types; a type that is not
-- there is read by nydus.config itself.
local M = {}

M.top = {
  workers = { type = "workers", min = 1, max = 1024, default = "auto",
    doc = "processes that serve; \"auto\" is one per CPU this process may use" },
  log = { type = "log", doc = "where the log goes and how much of it" },
  router_memory = { type = "size", min = "1mb", max = "64gb", default = "64mb",
    doc = "memory the router scripts of one worker may use" },
  clusters = { type = "clusters", doc = "name = { … } for each cluster" },
}

M.log = {
  level = { type = "choice", choices = { "debug", "info", "warn", "error" }, default = "info",
    doc = "the least important lines to write" },
  file = { type = "string", max = 4095, doc = "where to; stderr when left out" },
}

M.cluster = {
  listen = { type = "listen", doc = "the address clients connect to, or a list of them" },
  engine = { type = "engine", default = "redis", doc = "what the hosts are" },
  router = { type = "router", default = "all", doc = "which host gets a command" },
  hosts = { type = "hosts", doc = "the Redis servers, in routing order" },
  defaults = { type = "defaults", doc = "options every host inherits" },
  eject = { type = "boolean",
    doc = "leave hosts that are down out of the choice; the default depends on the router" },
  max_connection_retries = { type = "integer", min = 0, max = 1000, default = 20,
    doc = "how often one request is tried on another host" },
  retry_timeout = { type = "seconds", above = 0, max = 86400, default = 30,
    doc = "how long a host stays marked down before it is tried again" },
  failure_limit = { type = "integer", min = 1, max = 1000000, default = 1, twemproxy = 2,
    doc = "failures in a row before a host is marked down" },
  max_clients = { type = "integer", min = 1, max = 10000000, default = 10000,
    doc = "clients of all workers together" },
  max_request = { type = "size", min = "1kb", max = "4095mb", default = "1gb",
    doc = "the largest request a client may send" },
  max_reply_buffer = { type = "size", min = "64kb", max = "1tb", default = "256mb",
    doc = "replies a client may leave unread before it is closed" },
  client_timeout = { type = "seconds", min = 0, max = 31536000, default = 0,
    doc = "close a client that is silent for so long; 0 is never" },
  password = { type = "password", secret = true, doc = "clients need it; the user `default` has it" },
  users = { type = "users", doc = "name = { … } for each user that clients may log in as" },
  deny = { type = "denials", doc = "commands that no client may run" },
}

M.user = {
  password = { type = "password", secret = true, doc = "plain, or \"sha256:\" and 64 hexadecimal digits" },
  commands = { type = "rules", doc = "what it may run, left to right; everything when left out" },
  keys = { type = "patterns", doc = "the keys it may use; all when left out" },
}

-- Every one of these may stand in `defaults` too, but for the identifier.
M.host = {
  host = { type = "host", default = "127.0.0.1", doc = "name or address" },
  port = { type = "port", default = 6379, doc = "TCP port" },
  unix_socket_path = { type = "string", max = 107, doc = "instead of host and port" },
  db = { type = "integer", min = 0, max = 2147483647, default = 0, doc = "the database" },
  user = { type = "string", max = 4096, secret = true, doc = "ACL user, needs a password" },
  password = { type = "string", max = 65536, secret = true, doc = "sent with AUTH" },
  timeout = { type = "seconds", above = 0, max = 3600, default = 1.0, doc = "deadline of a reply" },
  connect_timeout = { type = "seconds", above = 0, max = 3600, default = 1.0,
    doc = "deadline of a connection" },
  weight = { type = "integer", min = 1, max = 1000000, default = 1, doc = "share of the keys" },
  identifier = { type = "string", max = 255, doc = "what the ring hashes; default redis://host:port/db" },
  connections = { type = "integer", min = 1, max = 64, default = 1, doc = "links per worker" },
}

M.router = {
  hash = { type = "choice", doc = "the hash function", choices = {
    "crc16", "crc32", "crc32a", "fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64", "hsieh", "jenkins", "md5",
    "murmur", "one_at_a_time", "xxh64",
  } },
  hash_tag = { type = "hash_tag", doc = "hash only what stands between these two characters" },
  compat = { type = "choice", choices = { "nydus", "twemproxy", "redis" }, default = "nydus",
    doc = "whose placement to keep" },
  eject = { type = "boolean", doc = "as the cluster's eject" },
  signed = { type = "boolean", default = true, doc = "hash bytes from 0x80 as signed, as on x86" },
}

-- The built-in routers: the options each takes, its default hash (and what
-- that is with compat = "twemproxy"), whether hosts that are down leave it,
-- whether twemproxy has it, and the options that have one value only.
local HASHING = { "compat", "eject", "hash", "hash_tag", "signed" }
M.routers = {
  all = { options = {} },
  first = { options = { "eject" }, eject = true },
  jump = { options = HASHING, hash = "xxh64" },
  ketama = { options = HASHING, hash = "md5", twemproxy_hash = "fnv1a_64", eject = true, twemproxy = true },
  least_pending = { options = { "eject" }, eject = true },
  modulus = { options = HASHING, hash = "crc32", twemproxy_hash = "fnv1a_64", twemproxy = true },
  random = { options = { "compat", "eject" }, eject = true, twemproxy = true },
  rendezvous = { options = HASHING, hash = "xxh64" },
  round_robin = { options = { "eject" }, eject = true },
  slots = { options = HASHING, hash = "crc16", hash_tag = "{}", fixed = { "hash", "hash_tag" },
    max_hosts = 16384 },
}

M.engines = { "redis" }
M.later_engines = { "redis_cluster", "redis_sentinel" }

M.MAX_HOSTS = 65536
M.MAX_WEIGHT = 1048576 -- of all hosts of a cluster together: the routers' tables

return M
