---@meta nydus
-- SPDX-License-Identifier: Apache-2.0
-- Types for editors (LuaLS); never loaded. docs/routers.md is the manual.
--
-- A router script begins:
--
--   ---@type nydus.Cluster, table
--   local cluster, options = ...
--   local nydus = require("nydus")

-- What a decision may be ---------------------------------------------------------

---What sends a command somewhere or answers it: a host, a cluster, a router, a list of targets (every one gets the
---command, the client an array), an answer, or a function that decides.
---@alias nydus.Target nydus.Host|nydus.Cluster|nydus.Router|nydus.Made|nydus.Answer|nydus.Target[]|nydus.Decision

---A pure decision: it may not wait. nil: the `default` of the node above, else "ERR no route".
---@alias nydus.Decision fun(req: nydus.Request): nydus.Target?

---A target that was made by a function of the module.
---@class nydus.Made

---An answer without a host.
---@class nydus.Answer

---One host of a cluster.
---@class nydus.Host
---@field identifier string what the ring hashes: as in config.lua, or redis://host:port/db
---@field key integer its key in `hosts` of config.lua
---@field host? string
---@field port? integer
---@field unix_socket_path? string
---@field db integer
---@field weight integer
---@field state "up"|"down"|"away"|"connecting"|"idle" as this worker sees it
local Host = {}

---Marks it down in this worker: routers with `eject` do not choose it.
---@param seconds? number at least so long, and until it can be reached; default: retry_timeout; math.huge: until :up()
function Host:down(seconds) end

---Takes it back at once.
function Host:up() end

---A cluster: as a target, the router of it.
---@class nydus.Cluster
---@field name string
---@field hosts table<integer, nydus.Host> by the keys of config.lua; a key that is not there is an error
local Cluster = {}

---@param identifier string|integer or its key in config.lua
---@return nydus.Host
function Cluster:host(identifier) end

---All hosts in routing order.
---@return nydus.Host[]
function Cluster:list() end

---A built-in router over some hosts.
---@class nydus.Router
local Router = {}

---The host for a key; for tests and load, not for every request.
---@param key string
---@return nydus.Host? host nil: all are down
function Router:pick(key) end

---@class nydus.RouterOptions
---@field hash? "crc32"|"md5"|"fnv1a_64"|"fnv1_64"|"fnv1a_32"|"fnv1_32"|"murmur"|"crc16"|"crc32a"|"jenkins"|"hsieh"|"one_at_a_time"|"xxh64"
---@field hash_tag? string two characters: only what stands between them is hashed
---@field compat? "nydus"|"twemproxy"|"redis" whose placement
---@field eject? boolean a host that is marked down leaves the choice
---@field to? table<nydus.Host, nydus.Target> what gets the keys of a host instead of it: its replicas, a failover

-- The request ---------------------------------------------------------------------

---One command, while it is decided (or while its flow or hook runs); later it raises "request is over".
---@class nydus.Request
---@field command string lower case; of a container, the container ("config")
---@field read boolean it only reads
---@field write boolean it does not only read
---@field admin boolean
---@field blocking boolean
---@field pubsub boolean
---@field argc integer words, the command included
---@field nkeys integer keys that this decision is for: 1 where a command is routed key by key
---@field size integer bytes of the command
---@field db integer the client's database
---@field attempt integer 0, and one more with every retry
---@field client nydus.Client? nil: nobody asks, or the client has left
local Request = {}

---@param i? integer from 1, which is the default
---@return string? key
function Request:key(i) end

---@param i integer from 0, the command itself
---@return string? word
function Request:arg(i) end

---Does the key begin with this? Makes no string.
---@param prefix string
---@return boolean
function Request:prefix(prefix) end

---The key up to a character, without it.
---@param character string
---@return string? part nil: it is not in the key
function Request:upto(character) end

---The first digits in the key, as a number. Makes no string.
---@param behind? integer only what stands behind so many bytes of the key (default: 0)
---@return number? number nil: there are none
function Request:number(behind) end

---What Redis Cluster would hash: what stands between { and }, else the whole key.
---@return string?
function Request:tag() end

---32 bits of a hash of the key.
---@param name? string crc32, or as in router options
---@return integer
function Request:hash(name) end

---In flows: sends the command as it came, and waits for the reply. What fails is an error reply.
---@param target nydus.Target
---@param options? { timeout?: number }
---@return nydus.Reply
function Request:send(target, options) end

---In flows: the same without waiting.
---@param target nydus.Target
---@param options? { timeout?: number }
---@return nydus.Reply reply that has not come yet: reply:wait(), reply.done
function Request:spawn(target, options) end

---In flows: answers now; the flow goes on.
---@param reply any what the flow could return
function Request:reply(reply) end

---Who asks.
---@class nydus.Client
---@field id integer
---@field addr string "127.0.0.1:50312", or the path of the socket
---@field name string? CLIENT SETNAME
---@field user string
---@field db integer
---@field listen string the address it has connected to
local Client = {}

---A table that is kept for this connection and name, until it closes or the configuration is replaced.
---@param name string
---@return table
function Client:slot(name) end

---A reply of a host, in flows and in on_reply.
---@class nydus.Reply
---@field type "string"|"status"|"error"|"integer"|"array"|"map"|"set"|"double"|"boolean"|"null"|"bignumber"|"verbatim"|"push"
---@field ok boolean it is no error
---@field is_error boolean
---@field is_null boolean
---@field done boolean it has come
---@field [integer] nydus.Reply an element, from 1; of a map: key, value, key …
local Reply = {}

---@return string? text nil: it has none
function Reply:str() end

---@return integer? number nil: it is none
function Reply:int() end

---In flows, of one that was spawned.
---@param seconds? number
---@return nydus.Reply? reply
---@return string? why "timeout"
function Reply:wait(seconds) end

-- Hooks -----------------------------------------------------------------------------

---What a script may return instead of a target.
---@class nydus.Hooks
---@field route nydus.Target
---@field retry? fun(req: nydus.Request, failed_host: nydus.Host?, reason: string): nydus.Target? nil: give up
---@field on_reply? fun(req: nydus.Request, reply: nydus.Reply): any nil: as it came
---@field fallback? nydus.Target answers while the router is quarantined
---@field check? fun(test: nydus.Test) runs before every swap; raising refuses the reload
---@field keep? string[] names of values in nydus.kept that the next configuration gets
---@field stop? fun() called once, when the configuration has been replaced or the worker leaves

---@class nydus.Test
local Test = {}

---@param ... string|number the command
---@return nydus.Host|nydus.Host[]|nil
---@return string? why
function Test:route(...) end

---@param ... string|number
---@return string
function Test:explain(...) end

---@param host nydus.Host
function Test:down(host) end

---@param host nydus.Host
function Test:up(host) end

-- Shared by all workers ----------------------------------------------------------------

---@class nydus.Counter
local Counter = {}
---@param n? number 1; not negative
function Counter:add(n) end
---@return number of all workers
function Counter:value() end

---@class nydus.Gauge
local Gauge = {}
---@param v number this worker's value
function Gauge:set(v) end
---@param n number
function Gauge:add(n) end
---@return number sum over all workers
function Gauge:value() end

---@class nydus.Histogram
local Histogram = {}
---@param v number
function Histogram:observe(v) end
---@return integer
function Histogram:count() end
---@return number
function Histogram:sum() end
---@param q number 0 to 1
---@return number
function Histogram:quantile(q) end

---@class nydus.Shared
local Shared = {}
---@param key string
---@return string|number|boolean|nil
function Shared:get(key) end
---@param key string
---@param value string|number|boolean
---@param ttl? number seconds
---@return true? done
---@return string? why "too large"
function Shared:set(key, value, ttl) end
---@param key string
---@param value string|number|boolean
---@param ttl? number seconds
---@return boolean? done
---@return string? why "exists", "too large"
function Shared:add(key, value, ttl) end
---@param key string
---@param n? number 1
---@param init? number the value of a key that is not there
---@param ttl? number seconds, with init
---@return number? value
---@return string? why "not found", "not a number"
function Shared:incr(key, n, init, ttl) end
---@param key string
---@return boolean was it there?
function Shared:delete(key) end
function Shared:flush() end
---@return integer
function Shared:count() end

---@class nydus.Limiter
local Limiter = {}
---@param key? string for each key its own rate
---@param cost? number 1
---@return boolean
---@return number? seconds until it would be allowed
function Limiter:allow(key, cost) end

---@class nydus.Timer
local Timer = {}
---@return boolean was it waiting?
function Timer:cancel() end

---@class nydus.Lock
local Lock = {}
function Lock:unlock() end

---Messages of the log; of one place and level five a second.
---@class nydus.Log
local Log = {}
---@param format string as string.format
---@param ... any
function Log.debug(format, ...) end
---@param format string
---@param ... any
function Log.info(format, ...) end
---@param format string
---@param ... any
function Log.warn(format, ...) end
---@param format string
---@param ... any
function Log.error(format, ...) end

-- The module -----------------------------------------------------------------------------

---@class nydus
---@field null userdata nil as a value in answers
---@field kept table of this script: at load it has what the one before handed on (the hook keep)
---@field log nydus.Log
local nydus = {}

---@param name string
---@return nydus.Cluster
function nydus.cluster(name) end

---Keys on a ring: few move when hosts come and go.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.ketama(hosts, options) end

---The hash modulo the number of hosts.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.modulus(hosts, options) end

---Jump hash: for hosts that are only added at the end.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.jump(hosts, options) end

---Highest random weight.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.rendezvous(hosts, options) end

---The 16384 slots of Redis Cluster in equal parts.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.slots(hosts, options) end

---One after the other.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.round_robin(hosts, options) end

---The host that owes the fewest replies.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.least_pending(hosts, options) end

---The first host that is not down.
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.first(hosts, options) end

---Without arguments, with one or two numbers: as math.random. Given a cluster or hosts: a router, any of them.
---@overload fun(m?: integer, n?: integer): number
---@param hosts nydus.Cluster|nydus.Host[]
---@param options? nydus.RouterOptions
---@return nydus.Router
function nydus.random(hosts, options) end

---An answer: a string, number, boolean, nydus.null, nydus.status, or a list of these.
---@param value any
---@return nydus.Answer
function nydus.reply(value) end

---An error as an answer; it begins with a word in capitals: "ERR no such tenant".
---@param text string
---@return nydus.Answer
function nydus.error(text) end

---A status for nydus.reply: nydus.reply(nydus.status "OK").
---@param text string
---@return table
function nydus.status(text) end

---By the longest prefix of the key; `default` for other keys and commands without a key.
---@param targets table<string, nydus.Target>
---@return nydus.Made
function nydus.prefix(targets) end

---By command name, or by class: `read`, `write`, `default`.
---@param targets table<string, nydus.Target>
---@return nydus.Made
function nydus.command(targets) end

---Every target gets the command; the replies become one.
---@param targets nydus.Target[]
---@param options? { reply?: "array"|"sum"|"min"|"max"|"and"|"or"|"merge"|"all_succeeded"|"one_succeeded"|"first"|"quorum" }
---@return nydus.Made
function nydus.all(targets, options) end

---By weight: { { target, weight }, …, by = "random" | "key" | "client" }.
---@param shares table
---@return nydus.Made
function nydus.split(shares) end

---The next target when one fails: { a, b, on = { "down", "timeout", "error" }, timeout = seconds }.
---@param targets table
---@return nydus.Made
function nydus.failover(targets) end

---Reads go to the next target, too, when there is no reply after so many seconds: { a, b, after = seconds }.
---@param targets table
---@return nydus.Made
function nydus.hedge(targets) end

---Copies of a share of the commands go to the second: { target, copy, sample = 1, pending = 1000 }.
---@param targets table
---@return nydus.Made
function nydus.shadow(targets) end

---So many commands a second; { rate =, burst =, key =, over = target, next = target, name = }.
---@param options table
---@return nydus.Made
function nydus.limit(options) end

---Keeps replies in the worker: { ttl = seconds, size = bytes, next = target, tracking = true, prefix = { … } }.
---@param options table
---@return nydus.Made
function nydus.cache(options) end

---Another prefix for keys on their way, and back in replies: { add = "v2:", strip = "x:", next = target }.
---@param options table
---@return nydus.Made
function nydus.rewrite(options) end

---A coroutine that may wait; what it returns is the reply.
---@param fn fun(req: nydus.Request): any
---@param options? { order?: "client"|"key"|"none", reads?: boolean, finish?: boolean }
---@return nydus.Made
function nydus.flow(fn, options) end

---A router in the form of Nydus's classes.
---@param class table
---@return nydus.Made
function nydus.router_class(class) end

---In flows: sends another command and waits for its reply.
---@param target nydus.Target
---@param ... string|number|table the command; a last table: { timeout = seconds }
---@return nydus.Reply
function nydus.call(target, ...) end

---In flows: the same without waiting.
---@param target nydus.Target
---@param ... string|number|table
---@return nydus.Reply
function nydus.spawn(target, ...) end

---Sends a command whose reply is nobody's.
---@param target nydus.Target
---@param ... string|number
---@return boolean sent false: too many are on their way
function nydus.cast(target, ...) end

---In flows: the first reply that has come.
---@param replies nydus.Reply[]
---@param seconds? number
---@return nydus.Reply?
---@return string? why "timeout"
function nydus.any(replies, seconds) end

---In flows: all of them; nil in the place of one that has not come in time.
---@param replies nydus.Reply[]
---@param seconds? number
---@return table<integer, nydus.Reply>
---@return boolean all
function nydus.wait_all(replies, seconds) end

---In flows.
---@param seconds number
function nydus.sleep(seconds) end

---In flows: a lock of all workers, for so many seconds at most; it is given back when the flow ends.
---@param name string
---@param key string
---@param seconds number
---@return nydus.Lock?
---@return string? why "timeout"
function nydus.lock(name, key, seconds) end

---A flow without a request, as long as the configuration is in force.
---@param fn fun()
function nydus.task(fn) end

---fn() in every worker, while the configuration is in force.
---@param seconds number
---@param fn fun()
---@return nydus.Timer
function nydus.every(seconds, fn) end

---fn() once.
---@param seconds number
---@param fn fun()
---@return nydus.Timer
function nydus.after(seconds, fn) end

---fn(host, state, why) when this worker's view of a host changes.
---@param fn fun(host: nydus.Host, state: "up"|"away"|"down", why: string)
function nydus.on_host(fn) end

---@param name string
---@return nydus.Counter
function nydus.counter(name) end

---@param name string
---@return nydus.Gauge
function nydus.gauge(name) end

---@param name string
---@param options? { buckets?: number[] }
---@return nydus.Histogram
function nydus.histogram(name, options) end

---A dictionary of all workers, alive over reloads.
---@param name string
---@param options? { size?: integer|string }
---@return nydus.Shared
function nydus.shared(name, options) end

---@param options { rate: number, burst?: number, name?: string }
---@return nydus.Limiter
function nydus.limiter(options) end

---Unix time in seconds, with a fraction; the same for all decisions of a batch.
---@return number
function nydus.now() end

return nydus
