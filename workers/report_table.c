/* SPDX-License-Identifier: MIT
 *
 * The one table of metrics: what a number is called in `status`, in /metrics, and what it means. */
#include <stddef.h>

#include "workers/report.h"

#define IN(field)     offsetof(struct report, field)
#define STREAM(field) offsetof(struct report_stream, field)

/* clang-format off */
const struct report_metric report_metrics[] = {
    {REPORT_PROCESS, REPORT_DOUBLE, false, IN(uptime_s), "uptime_s", "teldagd_uptime_seconds", "Seconds since this daemon started."},
    {REPORT_PROCESS, REPORT_BOOL, false, IN(ready), "ready", "teldagd_ready", "1 when the writer runs."},
    {REPORT_PROCESS, REPORT_BOOL, false, IN(degraded), "degraded", "teldagd_degraded", "1 when something needs attention; status says what."},
    {REPORT_PROCESS, REPORT_U64, false, IN(rss_bytes), "rss_bytes", "teldagd_resident_memory_bytes", "Resident memory of the process."},

    {REPORT_WRITER, REPORT_U64, true, IN(writer.batches), "batches", "teldagd_batches_total", "Transactions committed."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.events), "events", "teldagd_events_total", "Events applied or dead-lettered."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.rows), "rows", "teldagd_rows_total", "Rows written."},
    {REPORT_WRITER, REPORT_HISTOGRAM, false, 0, "commit", "teldagd_commit_seconds", "Time of a batch, from its first statement to its COMMIT."},
    {REPORT_WRITER, REPORT_MICROSECONDS, false, IN(writer.commit_us_max), "commit_max_s", "teldagd_commit_max_seconds", "Longest batch since the start."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.dead_letters), "dead_letters", "teldagd_dead_letters_total", "Events put into dead_letter."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.rebuilds), "rebuilds", "teldagd_rebuilds_total", "Rebuilds of the ledger from the database."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.rebuild_differences), "rebuild_differences", "teldagd_rebuild_differences_total", "Rows a rebuild had to correct; anything but 0 is a fault."},
    {REPORT_WRITER, REPORT_DOUBLE, false, IN(writer.rebuild_seconds), "rebuild_s", "teldagd_rebuild_seconds", "Duration of the last rebuild."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.retries), "retries", "teldagd_retries_total", "Transactions tried again after a transient failure."},
    {REPORT_WRITER, REPORT_U64, true, IN(writer.progress), "progress", "teldagd_progress_total", "Turns of the writer; the watchdog looks at it."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.registrations), "registrations", "teldagd_registrations", "Registrations in the ledger, withdrawn ones included."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.live), "live_registrations", "teldagd_live_registrations", "Registrations in the ledger that are not withdrawn."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.unmatched), "unmatched", "teldagd_unmatched", "Events that wait for a partner."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.schools), "schools", "teldagd_schools", "Schools in the ledger."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.ledger_bytes), "ledger_bytes", "teldagd_ledger_bytes", "Memory of the ledger."},
    {REPORT_WRITER, REPORT_ALERTS, false, 0, "alerts", "teldagd_alerts", "Alerts that fire."},
    {REPORT_WRITER, REPORT_U64, false, IN(writer.alert_seq), "alert_seq", "teldagd_alert_sequence", "Last alert sequence given out."},

    {REPORT_PUBLISHER, REPORT_BOOL, false, IN(publisher.connected), "connected", "teldagd_publisher_connected", "1 when the publisher reads the alert log."},
    {REPORT_PUBLISHER, REPORT_U64, false, IN(publisher.epoch), "epoch", NULL, NULL},
    {REPORT_PUBLISHER, REPORT_U64, false, IN(publisher.next_seq), "next_seq", "teldagd_publisher_next_sequence", "Sequence of the next alert to publish."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(publisher.sent), "sent", "teldagd_publisher_sent_total", "Alert messages published."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(publisher.fetches), "fetches", "teldagd_publisher_fetches_total", "Requests of subscribers answered."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(publisher.errors), "errors", "teldagd_publisher_errors_total", "Requests refused and messages not sent."},
    {REPORT_PUBLISHER, REPORT_U64, false, IN(gate.connections), "connections", "teldagd_connections", "Connections to the alert sockets."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.auth_failures), "auth_failures", "teldagd_auth_failures_total", "Peers whose key was refused at the alert sockets."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.handshake_failures), "handshake_failures", "teldagd_handshake_failures_total", "Peers that showed no key: without CURVE, with another server key, or not ZeroMQ."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.refused_connections), "refused_connections", "teldagd_refused_connections_total", "Connections ended because there were too many."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.refused_subscriptions), "refused_subscriptions", "teldagd_refused_subscriptions_total", "Subscriptions refused: not allowed to the key, or too many."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.dropped_requests), "dropped_requests", "teldagd_dropped_requests_total", "Requests dropped because their peer asked too often."},
    {REPORT_PUBLISHER, REPORT_U64, true, IN(gate.revoked_connections), "revoked_connections", "teldagd_revoked_connections_total", "Connections ended because the allow-list changed."},

    {REPORT_STREAM, REPORT_U64, false, STREAM(view.committed_epoch), "committed_epoch", NULL, NULL},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.committed_next), "committed_next", "teldagd_stream_position", "Next sequence to commit."},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.position.epoch), "epoch", NULL, NULL},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.position.next), "next", "teldagd_stream_accepted", "Next sequence to accept; accepted events may still wait for their commit."},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.position.head), "head", "teldagd_stream_head", "Next sequence the publisher will write, as last heard; 0 when unknown."},
    {REPORT_STREAM, REPORT_LAG, false, STREAM(lag), "lag", "teldagd_stream_lag", "Events published and not yet committed."},
    {REPORT_STREAM, REPORT_DOUBLE, false, STREAM(silence_s), "silence_s", "teldagd_stream_silence_seconds", "Seconds since the last sign of life of the publisher."},
    {REPORT_STREAM, REPORT_BOOL, false, STREAM(live), "live", "teldagd_stream_live", "1 when live messages are accepted as they come."},
    {REPORT_STREAM, REPORT_BOOL, false, STREAM(stopped), "stopped", "teldagd_stream_stopped", "1 when an operator must decide how the stream continues."},
    {REPORT_STREAM, REPORT_BOOL, false, STREAM(stale), "stale", "teldagd_stream_stale", "1 after 60 s of silence."},
    {REPORT_STREAM, REPORT_BOOL, false, STREAM(view.paused), "paused", "teldagd_stream_paused", "1 when an operator has paused the stream."},
    {REPORT_STREAM, REPORT_BOOL, false, STREAM(view.best_effort), "best_effort", "teldagd_stream_best_effort", "1 when the publisher keeps no journal: losses cannot be seen."},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.queued_events), "queued_events", "teldagd_stream_queued_events", "Events received that wait for the writer."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.received_events), "received_events", "teldagd_stream_received_events_total", "Events accepted by the receiver."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.dead_events), "dead_events", "teldagd_stream_dead_events_total", "Events that proved wrong by themselves."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.position.gaps), "gaps", "teldagd_stream_gaps_total", "Gaps seen in the live sequence (each is fetched)."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.position.fetches), "fetches", "teldagd_stream_fetches_total", "FETCH requests sent."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.position.duplicates), "duplicates", "teldagd_stream_duplicates_total", "Events dropped because they were seen before."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.position.damaged), "damaged", "teldagd_stream_damaged_total", "Messages damaged in transport."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.position.dropped_live), "dropped_live", "teldagd_stream_dropped_live_total", "Live messages dropped while behind (fetched later)."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.auth_failures), "auth_failures", "teldagd_stream_auth_failures_total", "Connections refused by authentication."},
    {REPORT_STREAM, REPORT_U64, true, STREAM(view.reconnects), "reconnects", "teldagd_stream_reconnects_total", "Connections set up again."},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.hello_wanted), "hello_wanted", NULL, NULL},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.position.hello_answered), "hello_answered", NULL, NULL},
    {REPORT_STREAM, REPORT_U64, false, STREAM(view.position.hello_head), "hello_head", NULL, NULL},
    {0},
};
/* clang-format on */
