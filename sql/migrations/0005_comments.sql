-- What each view and column of schema teldag means: shape, unit, source. Numbers in brackets are sections of the regulation.
-- docs/sql.md says the same; tests/sql checks that both are complete.

COMMENT ON VIEW teldag.school IS
    'Every school that stands: the last school.upsert of its key, whichever stream it came by. Regulation: none; level, brussels, closed_on and successor_id decide in 2.';
COMMENT ON COLUMN teldag.school.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.school.name IS 'name of the school';
COMMENT ON COLUMN teldag.school.level IS 'bao, so, bubao, buso, dko, vwo, clb or naft; decides which groups fit and which staffing stream applies (2)';
COMMENT ON COLUMN teldag.school.network IS 'go, vrij or officieel';
COMMENT ON COLUMN teldag.school.province IS 'province, null when not sent';
COMMENT ON COLUMN teldag.school.municipality IS 'municipality, null when not sent';
COMMENT ON COLUMN teldag.school.brussels IS 'lies in Brussels: alone decides the factor of gok_uren_leraar (2, step 4)';
COMMENT ON COLUMN teldag.school.board_id IS 'school board, null when not sent';
COMMENT ON COLUMN teldag.school.closed_on IS 'first day the school is closed; nothing is allocated for a school year that starts on or after it; null: open';
COMMENT ON COLUMN teldag.school.successor_id IS 'school that inherits the gedoogjaar history (2, step 9); null: none';
COMMENT ON COLUMN teldag.school.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.school.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.registration IS
    'Registrations that stand, a row per school year, school and pupil (regulation 1). A predicate on school_year opens one partition, one on school_id is applied inside the log.';
COMMENT ON COLUMN teldag.registration.school_year IS 'school year of the registration, ''2024-2025''';
COMMENT ON COLUMN teldag.registration.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.registration.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.registration."group" IS 'kleuter, lager, graad1, okan, graad23, basisaanbod, type3 or ander, as sent (it may not fit the level: see unmatched)';
COMMENT ON COLUMN teldag.registration.regular IS 'regular pupil: only these are counted (1)';
COMMENT ON COLUMN teldag.registration.weight IS '1 or 0.5 pupil (0)';
COMMENT ON COLUMN teldag.registration.indicators IS 'what holds: the list sent, thuistaal from home_language, buurt from thuisloos or trekkend (1)';
COMMENT ON COLUMN teldag.registration.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.registration.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.count IS
    'What the teldag of a school year counts: regular pupils present on it, weighted (regulation 1); also while the school is unknown. Funds the next school year.';
COMMENT ON COLUMN teldag.count.school_year IS 'school year of the count, ''2024-2025''';
COMMENT ON COLUMN teldag.count.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.count."group" IS 'group as registered';
COMMENT ON COLUMN teldag.count.pupils IS 'regular pupils present on the teldag, in pupils';
COMMENT ON COLUMN teldag.count.gok_pupils IS 'of these on at least one of the five indicators (not buurt), in pupils (2)';
COMMENT ON COLUMN teldag.count.thuistaal IS 'pupils on thuistaal, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.schooltoelage IS 'pupils on schooltoelage, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.opleiding_moeder IS 'pupils on opleiding_moeder, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.thuisloos IS 'pupils on thuisloos, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.trekkend IS 'pupils on trekkend, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.buurt IS 'pupils on buurt, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.count.closed IS 'a registration.closed matched once: the alerts follow this count';

COMMENT ON VIEW teldag.oki IS
    'Onderwijs-kansarmoede-indicator per school, all groups together (regulation 5, [GO fn 1]).';
COMMENT ON COLUMN teldag.oki.school_year IS 'school year of the count';
COMMENT ON COLUMN teldag.oki.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.oki.pupils IS 'pupils counted';
COMMENT ON COLUMN teldag.oki.buurt IS 'pupils on buurt, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.oki.opleiding_moeder IS 'pupils on opleiding_moeder, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.oki.schooltoelage IS 'pupils on schooltoelage, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.oki.thuistaal IS 'pupils on thuistaal, in pupils (weights 0.5 count half)';
COMMENT ON COLUMN teldag.oki.oki IS '(buurt + opleiding_moeder + schooltoelage + thuistaal) / pupils, 0 to 4, half up to 4 decimals from the exact quotient';

COMMENT ON VIEW teldag.allocation IS
    'What each school is granted, a row per staffing stream and group with regular pupils (regulation 2): counts of the year before, rules of the year of use.';
COMMENT ON COLUMN teldag.allocation.school_year IS 'school year of use, ''2025-2026''';
COMMENT ON COLUMN teldag.allocation.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.allocation.stream IS 'ses_lestijden (bao), gok_uren_leraar (so), gok_aanvullende_lestijden (bubao) or gok_extra_lesuren (buso)';
COMMENT ON COLUMN teldag.allocation."group" IS 'kleuter, lager; graad1, okan, graad23; aanbod (basisaanbod and type3 together) for the two bu streams';
COMMENT ON COLUMN teldag.allocation.count_year IS 'school year whose teldag is counted: the year before';
COMMENT ON COLUMN teldag.allocation.pupils IS 'regular pupils, in pupils';
COMMENT ON COLUMN teldag.allocation.gok_pupils IS 'pupils the threshold is tested on: any of the five indicators; in the bu streams those on opleiding_moeder (or any: bu.share_counts)';
COMMENT ON COLUMN teldag.allocation.share IS 'gok_pupils / pupils, 0 to 1, half up to 9 decimals; the threshold is tested on the exact quotient';
COMMENT ON COLUMN teldag.allocation.threshold IS 'least share, 0 to 1; null when the stream has none (2)';
COMMENT ON COLUMN teldag.allocation.points IS 'points the value is multiplied with, after factor and rounding (2, steps 3 to 5); null for ses_lestijden';
COMMENT ON COLUMN teldag.allocation.hours_exact IS 'hours before rounding, exact (2, step 6)';
COMMENT ON COLUMN teldag.allocation.hours IS 'hours, rounded (2, step 7; rule rounding)';
COMMENT ON COLUMN teldag.allocation.minimum IS 'least hours; null when the stream has none';
COMMENT ON COLUMN teldag.allocation.status IS 'granted, grace (gedoogjaar), below_threshold (also when both fail) or below_minimum (2, steps 8 and 9)';
COMMENT ON COLUMN teldag.allocation.sanction_factor IS '1, or 0.5 after a second negative evaluation (3)';
COMMENT ON COLUMN teldag.allocation.granted IS 'hours granted after status and sanction, 0 when below';
COMMENT ON COLUMN teldag.allocation.margin_pupils IS 'GOK pupils of weight 1 that may leave before the threshold fails: floor((gok - t n) / (1 - t)); negative when it fails; null without threshold';
COMMENT ON COLUMN teldag.allocation.margin_hours IS 'hours - minimum; null without minimum';
COMMENT ON COLUMN teldag.allocation.rules IS 'hash of the rules set it rests on (view rules shows the set in force)';

COMMENT ON VIEW teldag.allocation_known IS
    'What the agency says it granted (entitlement.known): the history before the first feed, and the official figure beside the computed one.';
COMMENT ON COLUMN teldag.allocation_known.school_year IS 'school year of use';
COMMENT ON COLUMN teldag.allocation_known.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.allocation_known.stream IS 'staffing stream';
COMMENT ON COLUMN teldag.allocation_known."group" IS 'group of the staffing stream';
COMMENT ON COLUMN teldag.allocation_known.status IS 'granted, grace, below_threshold or below_minimum';
COMMENT ON COLUMN teldag.allocation_known.hours IS 'hours granted';
COMMENT ON COLUMN teldag.allocation_known.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.allocation_known.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.allocation_difference IS
    'Computed against granted: every row of allocation_known beside what is computed for it.';
COMMENT ON COLUMN teldag.allocation_difference.school_year IS 'school year of use';
COMMENT ON COLUMN teldag.allocation_difference.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.allocation_difference.stream IS 'staffing stream';
COMMENT ON COLUMN teldag.allocation_difference."group" IS 'group of the staffing stream';
COMMENT ON COLUMN teldag.allocation_difference.known_status IS 'status the agency states';
COMMENT ON COLUMN teldag.allocation_difference.computed_status IS 'status computed here; null when nothing is computed';
COMMENT ON COLUMN teldag.allocation_difference.known_hours IS 'hours the agency states';
COMMENT ON COLUMN teldag.allocation_difference.computed_granted IS 'hours computed here after status and sanction; null when nothing is computed';
COMMENT ON COLUMN teldag.allocation_difference.difference IS 'computed - known hours, nothing computed counting as 0';

COMMENT ON VIEW teldag.alert IS
    'Alerts as they are now, a row per key (kind, school, school year, group, stream, subject), resolved ones included.';
COMMENT ON COLUMN teldag.alert.seq IS 'sequence of the change in its shard, gap-free (of the last change)';
COMMENT ON COLUMN teldag.alert.kind IS 'threshold.near, threshold.grace, threshold.lost, count.incomplete, registration.double, stream.gap, stream.stale or dead_letter';
COMMENT ON COLUMN teldag.alert.severity IS 'info, warning or critical';
COMMENT ON COLUMN teldag.alert.state IS 'firing or resolved';
COMMENT ON COLUMN teldag.alert.school_id IS 'school, '''' when none';
COMMENT ON COLUMN teldag.alert.school_year IS 'school year: of use for thresholds, of the count for counts, '''' when none';
COMMENT ON COLUMN teldag.alert."group" IS 'group, '''' when none';
COMMENT ON COLUMN teldag.alert.stream IS 'staffing stream or feed stream, '''' when none';
COMMENT ON COLUMN teldag.alert.subject IS 'pupil of a double registration, day of dead letters, '''' when none';
COMMENT ON COLUMN teldag.alert.summary IS 'one sentence for an inspector';
COMMENT ON COLUMN teldag.alert.detail IS 'numbers, rule, source and verified, frozen at the change';
COMMENT ON COLUMN teldag.alert.raised_at IS 'when it began to fire';
COMMENT ON COLUMN teldag.alert.changed_at IS 'when state or severity changed';
COMMENT ON COLUMN teldag.alert.resolved_at IS 'when it was resolved; null while it fires';

COMMENT ON VIEW teldag.alert_log IS
    'Every change of an alert''s state or severity, as published to subscribers.';
COMMENT ON COLUMN teldag.alert_log.seq IS 'sequence of the change in its shard, gap-free';
COMMENT ON COLUMN teldag.alert_log.kind IS 'threshold.near, threshold.grace, threshold.lost, count.incomplete, registration.double, stream.gap, stream.stale or dead_letter';
COMMENT ON COLUMN teldag.alert_log.severity IS 'info, warning or critical';
COMMENT ON COLUMN teldag.alert_log.state IS 'firing or resolved';
COMMENT ON COLUMN teldag.alert_log.school_id IS 'school, '''' when none';
COMMENT ON COLUMN teldag.alert_log.school_year IS 'school year: of use for thresholds, of the count for counts, '''' when none';
COMMENT ON COLUMN teldag.alert_log."group" IS 'group, '''' when none';
COMMENT ON COLUMN teldag.alert_log.stream IS 'staffing stream or feed stream, '''' when none';
COMMENT ON COLUMN teldag.alert_log.subject IS 'pupil of a double registration, day of dead letters, '''' when none';
COMMENT ON COLUMN teldag.alert_log.summary IS 'one sentence for an inspector';
COMMENT ON COLUMN teldag.alert_log.detail IS 'numbers, rule, source and verified, frozen at the change';
COMMENT ON COLUMN teldag.alert_log.raised_at IS 'when it began to fire';
COMMENT ON COLUMN teldag.alert_log.changed_at IS 'when state or severity changed';
COMMENT ON COLUMN teldag.alert_log.resolved_at IS 'when it was resolved; null while it fires';

COMMENT ON VIEW teldag.feed_progress IS
    'Where each stream stands; every figure is a function of the events before these positions.';
COMMENT ON COLUMN teldag.feed_progress.stream IS 'stream, ''registration.0''';
COMMENT ON COLUMN teldag.feed_progress.epoch IS 'epoch of the journal followed; 0: nothing received yet';
COMMENT ON COLUMN teldag.feed_progress.next_seq IS 'first sequence not yet applied or dead-lettered';
COMMENT ON COLUMN teldag.feed_progress.head_seq IS 'next sequence the publisher will write, as last heard';
COMMENT ON COLUMN teldag.feed_progress.updated_at IS 'when the position last moved';

COMMENT ON VIEW teldag.streams IS
    'Streams with what bears on their reliability; figures that rest on a best-effort stream may lack events.';
COMMENT ON COLUMN teldag.streams.stream IS 'stream, ''registration.0''';
COMMENT ON COLUMN teldag.streams.reliability IS 'journal (gap-free, fetched again) or best-effort (numbered on receipt, losses unseen)';
COMMENT ON COLUMN teldag.streams.shard IS 'shard that owns it';
COMMENT ON COLUMN teldag.streams.epoch IS 'epoch of the journal followed';
COMMENT ON COLUMN teldag.streams.next_seq IS 'first sequence not yet applied or dead-lettered';
COMMENT ON COLUMN teldag.streams.head_seq IS 'next sequence the publisher will write';
COMMENT ON COLUMN teldag.streams.behind IS 'events written but not yet applied';
COMMENT ON COLUMN teldag.streams.paused IS 'paused by an operator';
COMMENT ON COLUMN teldag.streams.resend_epoch IS 'last epoch accepted with --resend; 0: none';
COMMENT ON COLUMN teldag.streams.updated_at IS 'when the position last moved';

COMMENT ON VIEW teldag.best_effort IS
    'Counts that rest on a best-effort stream, which loses events unseen: what is derived from them may be wrong.';
COMMENT ON COLUMN teldag.best_effort.school_year IS 'school year of the count';
COMMENT ON COLUMN teldag.best_effort.school_id IS 'school number';
COMMENT ON COLUMN teldag.best_effort.stream IS 'stream without journal that brought registrations of it';

COMMENT ON VIEW teldag.dead_letter IS
    'Events that were refused, with the reason; the stream went on (design P4).';
COMMENT ON COLUMN teldag.dead_letter.stream IS 'stream it came by';
COMMENT ON COLUMN teldag.dead_letter.epoch IS 'epoch of its journal';
COMMENT ON COLUMN teldag.dead_letter.seq IS 'its sequence';
COMMENT ON COLUMN teldag.dead_letter.reason IS 'what is wrong, naming the field';
COMMENT ON COLUMN teldag.dead_letter.event IS 'the bytes kept, scrubbed of national numbers; when they are not UTF-8, bytes outside ASCII as \nnn';
COMMENT ON COLUMN teldag.dead_letter.state IS 'open, retried, superseded (a later event has its key) or dropped';
COMMENT ON COLUMN teldag.dead_letter.recorded_at IS 'when it was stored';
COMMENT ON COLUMN teldag.dead_letter.resolved_at IS 'when it left state open; null while open';

COMMENT ON VIEW teldag.unmatched IS
    'Registrations that stand but do not fit yet: the school is unknown, or the group does not fit its level. They count where they can and allocate nothing.';
COMMENT ON COLUMN teldag.unmatched.stream IS 'stream it came by';
COMMENT ON COLUMN teldag.unmatched.seq IS 'position in its stream';
COMMENT ON COLUMN teldag.unmatched.key IS 'school year, school and pupil, separated by spaces';
COMMENT ON COLUMN teldag.unmatched.reason IS 'unknown school, or which group does not fit which level';

COMMENT ON VIEW teldag.rules IS
    'Parameters of the law in force, of every school year with a file or with figures; carried over to years without one (regulation, head).';
COMMENT ON COLUMN teldag.rules.school_year IS 'school year of use';
COMMENT ON COLUMN teldag.rules.name IS 'dotted path, ''gok.cap''';
COMMENT ON COLUMN teldag.rules.value IS 'value as written in the rules file';
COMMENT ON COLUMN teldag.rules.source IS 'where the value comes from; says so when carried over or derived';
COMMENT ON COLUMN teldag.rules.verified IS 'checked against its source; always false when carried over';

COMMENT ON VIEW teldag.clock IS
    'The day everything that depends on a date is computed for.';
COMMENT ON COLUMN teldag.clock.today IS 'clock.today, Europe/Brussels; null before the first start';

COMMENT ON VIEW teldag.schema_version IS
    'Migrations this database has seen.';
COMMENT ON COLUMN teldag.schema_version.version IS 'name of the migration, ''0001_tables''';
COMMENT ON COLUMN teldag.schema_version.applied_at IS 'when it was applied';
