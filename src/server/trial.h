/* A trial: one configuration at work inside a test, with everything of a
 * worker but the process. Its hosts are sockets that the test answers for; its
 * time goes on when the test says so. For lua/nydus/testing.lua, by FFI: nothing
 * here calls back into Lua.
 *
 *   test ─► trial_send ─► client ─► worker ─► host ─► trial_asked ─► test
 *   test ◄─ trial_reply ◄─ …                          trial_answer ◄─ test
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trial;

struct trial *trial_create(void);
/* Everything ends. */
void trial_destroy(struct trial *trial);

/* A host that listens at this path. Returns its number, from 0, or -1 with errno. */
int trial_host(struct trial *trial, const char *path);
/* It refuses connections and drops those it has, or takes them again. */
void trial_host_down(struct trial *trial, int host, bool down);

/* Loads config.lua, puts it in force and serves its clusters at <folder>/<name>.
 * A second one is a reload. false: *problems are lines for the caller to free. */
bool trial_load(struct trial *trial, const char *config, const char *folder, char **problems)
    __attribute__((warn_unused_result));

/* A client of the cluster that is served at this path; returns its number, or -1 with errno. */
int trial_client(struct trial *trial, const char *path);
void trial_client_close(struct trial *trial, int client);
void trial_send(struct trial *trial, int client, const char *bytes, size_t size);
/* The next whole reply of a client, good until its next one is asked for; NULL: none yet.
 * *closed: nor will there be one. */
const char *trial_reply(struct trial *trial, int client, size_t *size, bool *closed);

/* One turn of the loop, without waiting. true: something was moved by sockets of the trial. */
bool trial_turn(struct trial *trial);

/* A request that a host has got and not answered. */
struct trial_question {
    int host;
    int db;
    const char *bytes;
    size_t size;
};
/* The oldest of all; false: there is none. AUTH, HELLO, SELECT and PING of the greeting are answered here. */
bool trial_asked(struct trial *trial, struct trial_question *question);
/* Answers it; bytes NULL: never, nor anything behind it on its link. */
void trial_answer(struct trial *trial, const char *bytes, size_t size);

/* Lets time go on: until the next thing is due, at most `most` seconds. Returns how many. */
double trial_skip(struct trial *trial, double most);

/* Where a command would go: the lines of NYDUS ROUTE, for the caller to free. */
char *trial_explain(struct trial *trial, const char *cluster, const char *bytes, size_t size);
/* Writes the numbers of the hosts of the cluster that would get it; returns how many, 0: none. Of an
 * action they are those of its first target. */
int trial_route(struct trial *trial, const char *cluster, const char *bytes, size_t size, int *hosts,
                int room);
