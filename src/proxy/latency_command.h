/* LATENCY: how long commands took. Nydus watches no events of its own, as a
 * Redis whose latency monitor is off. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void latency_command_latest(struct call *call);
void latency_command_history(struct call *call);
void latency_command_reset(struct call *call);
void latency_command_graph(struct call *call);
void latency_command_doctor(struct call *call);
/* LATENCY HISTOGRAM [command …]: of all workers, since CONFIG RESETSTAT. */
void latency_command_histogram(struct call *call);
