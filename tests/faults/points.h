/* SPDX-License-Identifier: MIT
 *
 * Every failpoint there is (daemon/failpoint.h): the campaign reaches and crashes at each of them. A name that is used and not
 * here does not compile; a statement that is not here ends the test's program; one that is here and never reached fails the run. */
#pragma once

/* Places in the program: group, name. */
#define FAILPOINTS(X)                                                                                        \
    X(feed, after_ack)                                                                                       \
    X(feed, after_answer)                                                                                    \
    X(feed, after_append)                                                                                    \
    X(feed, after_publish)                                                                                   \
    X(feed, before_ack)                                                                                      \
    X(feed, before_answer)                                                                                   \
    X(feed, before_append)                                                                                   \
    X(feed, before_head)                                                                                     \
    X(feed, before_publish)                                                                                  \
    X(feed, hello)                                                                                           \
    X(feed, read_begun)                                                                                      \
    X(feed, read_input)                                                                                      \
    X(feed, within_answer)                                                                                   \
    X(journal, append_after_commit)                                                                          \
    X(journal, append_before_commit)                                                                         \
    X(journal, append_begin)                                                                                 \
    X(journal, append_put)                                                                                   \
    X(journal, create_after_commit)                                                                          \
    X(journal, create_before_commit)                                                                         \
    X(journal, create_folder)                                                                                \
    X(journal, open_environment)                                                                             \
    X(journal, trim_after_commit)                                                                            \
    X(journal, trim_before_commit)                                                                           \
    X(journal, trim_delete)                                                                                  \
    X(journal, trim_first)                                                                                   \
    X(migrate, applied)                                                                                      \
    X(migrate, before_begin)                                                                                 \
    X(migrate, before_unlock)                                                                                \
    X(migrate, begun)                                                                                        \
    X(migrate, committed)                                                                                    \
    X(migrate, locked)                                                                                       \
    X(migrate, recorded)                                                                                     \
    X(publisher, after_answer)                                                                               \
    X(publisher, after_frame)                                                                                \
    X(publisher, before_answer)                                                                              \
    X(publisher, before_frame)                                                                               \
    X(publisher, before_head)                                                                                \
    X(publisher, positioned)                                                                                 \
    X(publisher, request)                                                                                    \
    X(publisher, sent)                                                                                       \
    X(publisher, within_answer)                                                                              \
    X(publisher, woken)                                                                                      \
    X(rebuild, begun)                                                                                        \
    X(rebuild, compared)                                                                                     \
    X(rebuild, done)                                                                                         \
    X(rebuild, epoch_begun)                                                                                  \
    X(rebuild, epoch_replayed)                                                                               \
    X(rebuild, loaded)                                                                                       \
    X(rebuild, replayed)                                                                                     \
    X(receiver, after_put)                                                                                   \
    X(receiver, before_fetch)                                                                                \
    X(receiver, before_hello)                                                                                \
    X(receiver, before_put)                                                                                  \
    X(receiver, decoded)                                                                                     \
    X(receiver, order_obeyed)                                                                                \
    X(receiver, order_seen)                                                                                  \
    X(receiver, received)                                                                                    \
    X(reload, begun)                                                                                         \
    X(reload, files_read)                                                                                    \
    X(reload, rules_applied)                                                                                 \
    X(reload, rules_taken)                                                                                   \
    X(reload, taken_over)                                                                                    \
    X(writer, abandoned)                                                                                     \
    X(writer, after_resolve)                                                                                 \
    X(writer, after_settle)                                                                                  \
    X(writer, applied)                                                                                       \
    X(writer, before_resolve)                                                                                \
    X(writer, before_rollback)                                                                               \
    X(writer, before_settle)                                                                                 \
    X(writer, buried)                                                                                        \
    X(writer, commit_unknown)                                                                                \
    X(writer, events_taken)                                                                                  \
    X(writer, halving)                                                                                       \
    X(writer, order_answered)                                                                                \
    X(writer, order_begun)                                                                                   \
    X(writer, order_done)                                                                                    \
    X(writer, replay_built)                                                                                  \
    X(writer, replay_logged)                                                                                 \
    X(writer, session_read)                                                                                  \
    X(writer, written)                                                                                       \
    X(writer, years_made)

/* Statements: connection, label (named statements: their name; others: verb and table). Each has the points before and after.
 * COMMIT and the end of a session have their own. */
#define FAILPOINTS_SQL(X)                                                                                    \
    X(writer, alert_change)                                                                                  \
    X(publisher, alert_events)                                                                               \
    X(writer, allocation_delete)                                                                             \
    X(writer, allocation_upsert)                                                                             \
    X(writer, budget_clear)                                                                                  \
    X(writer, budget_count)                                                                                  \
    X(writer, budget_store)                                                                                  \
    X(writer, clock_step)                                                                                    \
    X(writer, closed_upsert)                                                                                 \
    X(writer, count_delete)                                                                                  \
    X(writer, count_upsert)                                                                                  \
    X(writer, epoch_record)                                                                                  \
    X(writer, feed_fence)                                                                                    \
    X(writer, local_append)                                                                                  \
    X(writer, reference_clear)                                                                               \
    X(writer, reference_count)                                                                               \
    X(writer, reference_store)                                                                               \
    X(writer, risk_delete)                                                                                   \
    X(writer, risk_upsert)                                                                                   \
    X(writer, rules_current)                                                                                 \
    X(writer, rules_set_store)                                                                               \
    X(writer, rules_store)                                                                                   \
    X(writer, shard_fence)                                                                                   \
    X(writer, begin)                                                                                         \
    X(writer, begin_isolation)                                                                               \
    X(writer, set_catalog)                                                                                   \
    X(writer, select_schema_migration)                                                                       \
    X(writer, select_try_advisory_lock)                                                                      \
    X(writer, select_locks)                                                                                  \
    X(writer, select_shard_progress)                                                                         \
    X(writer, select_server_id)                                                                              \
    X(writer, select_retained_before)                                                                        \
    X(writer, select_retain_refusals)                                                                        \
    X(writer, select_retain_plan)                                                                            \
    X(writer, select_retain)                                                                                 \
    X(writer, select_retain_alerts)                                                                          \
    X(writer, read_select_retained_count)                                                                    \
    X(writer, read_select_retained_closed)                                                                   \
    X(writer, read_select_retained_incident)                                                                 \
    X(writer, update_shard_progress)                                                                         \
    X(writer, select_renew_alert_epoch)                                                                      \
    X(writer, insert_shard_progress)                                                                         \
    X(writer, select_local_log)                                                                              \
    X(writer, insert_stream)                                                                                 \
    X(writer, insert_feed_progress)                                                                          \
    X(writer, select_stream)                                                                                 \
    X(writer, select_ensure_year)                                                                            \
    X(writer, select_stream_epoch)                                                                           \
    X(writer, select_inherits)                                                                               \
    X(writer, select_allocation_state)                                                                       \
    X(writer, select_alert_state)                                                                            \
    X(writer, select_risk_state)                                                                             \
    X(writer, select_budget_value)                                                                           \
    X(writer, select_risk_reference)                                                                         \
    X(writer, select_rules_set)                                                                              \
    X(writer, select_rule)                                                                                   \
    X(writer, select_dead_letter)                                                                            \
    X(writer, update_feed_progress)                                                                          \
    X(writer, update_dead_letter)                                                                            \
    X(writer, select_exists)                                                                                 \
    X(writer, read_select_count_state)                                                                       \
    X(writer, read_select_count_closed)                                                                      \
    X(publisher, set_catalog)                                                                                \
    X(publisher, select_alert_log)

/* Logs: COPY into them (before, begun, ending, after), and reading them back (before, after). */
#define FAILPOINTS_LOGS(X)                                                                                   \
    X(writer, school_log)                                                                                    \
    X(writer, entitlement_log)                                                                               \
    X(writer, registration_log)                                                                              \
    X(writer, pupil_link_log)                                                                                \
    X(writer, inspection_log)                                                                                \
    X(writer, opschorting_log)                                                                               \
    X(writer, verklaring_log)                                                                                \
    X(writer, controle_log)                                                                                  \
    X(writer, poah_log)                                                                                      \
    X(writer, beslissing_log)                                                                                \
    X(writer, vlp_log)                                                                                       \
    X(writer, toah_log)                                                                                      \
    X(writer, melding_log)                                                                                   \
    X(writer, beantwoord_log)

/* COPY into what is not read back. */
#define FAILPOINTS_COPY(X) X(writer, dead_letter)

/* COMMIT: before, sent (and no answer read), answered. */
#define FAILPOINTS_COMMIT(X)                                                                                 \
    X(writer)                                                                                                \
    X(teldagctl)
