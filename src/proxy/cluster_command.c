/* CLUSTER's subcommands, one function each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster_command.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/listener.h"

enum { SLOTS = 16384, ID_SIZE = 41, IP_SIZE = INET6_ADDRSTRLEN };

/* Our end of the client's connection; a unix socket is "" and port 0. */
static uint16_t own_endpoint(const struct client *client, char ip[IP_SIZE])
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof storage;
    ip[0] = '\0';
    if (getsockname(stream_fd(&client->stream), (struct sockaddr *)&storage, &size) != 0) {
        return 0;
    }
    if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&storage;
        inet_ntop(AF_INET6, &six->sin6_addr, ip, IP_SIZE);
        return ntohs(six->sin6_port);
    }
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&storage;
        inet_ntop(AF_INET, &four->sin_addr, ip, IP_SIZE);
        return ntohs(four->sin_port);
    }
    return 0;
}

/* 40 hex digits, the same from every worker and after a restart. */
static void own_id(const struct client *client, char id[ID_SIZE])
{
    const char *name = client->listener->cluster_name, *text = client->listener->text;
    hash_function *hash = hash_function_find(HASH_XXH64, HASH_PLAIN);
    uint64_t seed = hash(name, strlen(name)) ^ hash_mix(hash(text, strlen(text)));
    snprintf(id, ID_SIZE, "%016" PRIx64 "%016" PRIx64 "%08" PRIx32, hash_mix(seed), hash_mix(seed + 1),
             (uint32_t)hash_mix(seed + 2));
}

void cluster_command_info(struct call *call)
{
    struct writer text = call_writer(call);
    writer_format(&text,
                  "cluster_state:ok\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"
                  "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:1\r\n"
                  "cluster_size:1\r\ncluster_current_epoch:0\r\ncluster_my_epoch:0\r\n"
                  "cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n"
                  "total_cluster_links_buffer_limit_exceeded:0\r\n",
                  SLOTS, SLOTS);
    call_verbatim(call, &text);
}

void cluster_command_myid(struct call *call)
{
    char id[ID_SIZE];
    struct writer reply = call_writer(call);
    own_id(call->client, id);
    writer_text(&reply, id);
    call_reply(call, &reply);
}

void cluster_command_slots(struct call *call)
{
    char id[ID_SIZE], ip[IP_SIZE];
    uint16_t port = own_endpoint(call->client, ip);
    struct writer reply = call_writer(call);
    own_id(call->client, id);
    writer_array(&reply, 1);
    writer_array(&reply, 3);
    writer_integer(&reply, 0);
    writer_integer(&reply, SLOTS - 1);
    writer_array(&reply, 4);
    writer_text(&reply, ip);
    writer_integer(&reply, port);
    writer_text(&reply, id);
    writer_array(&reply, 0);
    call_reply(call, &reply);
}

static void write_node(struct writer *out, const struct client *client)
{
    char id[ID_SIZE], ip[IP_SIZE];
    uint16_t port = own_endpoint(client, ip);
    own_id(client, id);
    writer_map(out, 7);
    writer_text(out, "id");
    writer_text(out, id);
    writer_text(out, "port");
    writer_integer(out, port);
    writer_text(out, "ip");
    writer_text(out, ip);
    writer_text(out, "endpoint");
    writer_text(out, ip);
    writer_text(out, "role");
    writer_text(out, "master");
    writer_text(out, "replication-offset");
    writer_integer(out, 0);
    writer_text(out, "health");
    writer_text(out, "online");
}

void cluster_command_shards(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_array(&reply, 1);
    writer_map(&reply, 2);
    writer_text(&reply, "slots");
    writer_array(&reply, 2);
    writer_integer(&reply, 0);
    writer_integer(&reply, SLOTS - 1);
    writer_text(&reply, "nodes");
    writer_array(&reply, 1);
    write_node(&reply, call->client);
    call_reply(call, &reply);
}

/* What is hashed of a key: what stands in its first {}, if anything does. */
void cluster_command_keyslot(struct call *call)
{
    size_t size;
    const char *key = call_arg(call, 2, &size), *open = memchr(key, '{', size);
    const char *close = open ? memchr(open, '}', (size_t)(key + size - open)) : NULL;
    if (close && close > open + 1) {
        key = open + 1;
        size = (size_t)(close - key);
    }
    struct writer reply = call_writer(call);
    writer_integer(&reply, hash_crc16(key, size) % SLOTS);
    call_reply(call, &reply);
}
