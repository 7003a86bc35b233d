-- The outbox: what happened, on its way to the broker and the webhooks.

-- name: tell
-- Write events of a show whose inventory row is locked, or new, in the transaction that makes them true.
-- $1: show id. $2: how many events. $3: the events.
WITH counted AS (
    UPDATE inventory SET told_events = told_events + $2::integer WHERE show_id = $1
    RETURNING show_id, told_events - $2::integer + 1 AS seq, version
)
INSERT INTO outbox (show_id, seq, events, version, at, body, queued, published)
SELECT show_id, seq, $2::integer, version, clock_timestamp(), $3,
       NOT EXISTS (SELECT FROM webhooks WHERE active), NOT EXISTS (SELECT FROM event_readers WHERE name = 'broker')
FROM counted

-- name: claim_to_queue
-- Shows that have events to hand to webhooks, after $1, at most $2: each claimed until the end of this transaction. From
-- show to show by the index: its cost is the shows that are claimed, however many rows of each there are. An advisory
-- lock needs no row and no transaction id, works behind poolers, and ends with whoever has it.
WITH RECURSIVE next AS (
    (SELECT show_id FROM outbox WHERE NOT queued AND show_id > $1 ORDER BY show_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.show_id FROM outbox o WHERE NOT o.queued AND o.show_id > next.show_id ORDER BY o.show_id LIMIT 1)
    FROM next WHERE next.show_id IS NOT NULL
)
SELECT show_id FROM next
WHERE show_id IS NOT NULL AND pg_try_advisory_xact_lock(hashtextextended('rowlock outbox to queue ' || show_id, 0))
LIMIT $2::integer

-- name: claim_to_publish
-- The same, for events that the broker is to have.
WITH RECURSIVE next AS (
    (SELECT show_id FROM outbox WHERE NOT published AND show_id > $1 ORDER BY show_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.show_id FROM outbox o WHERE NOT o.published AND o.show_id > next.show_id ORDER BY o.show_id LIMIT 1)
    FROM next WHERE next.show_id IS NOT NULL
)
SELECT show_id FROM next
WHERE show_id IS NOT NULL AND pg_try_advisory_xact_lock(hashtextextended('rowlock outbox to publish ' || show_id, 0))
LIMIT $2::integer

-- name: to_queue
-- The first rows, at most $2 a show, that are to be handed to webhooks, of shows that were claimed by a statement before
-- this one: what whoever had them last has marked can be seen by now.
SELECT o.show_id, o.seq, o.events, o.version, o.at, o.body
FROM unnest($1::bigint[]) AS claimed (show_id)
CROSS JOIN LATERAL (
    SELECT * FROM outbox WHERE show_id = claimed.show_id AND NOT queued ORDER BY seq LIMIT $2::integer
) AS o
ORDER BY o.show_id, o.seq

-- name: to_publish
-- The same, for events that the broker is to have.
SELECT o.show_id, o.seq, o.events, o.version, o.at, o.body
FROM unnest($1::bigint[]) AS claimed (show_id)
CROSS JOIN LATERAL (
    SELECT * FROM outbox WHERE show_id = claimed.show_id AND NOT published ORDER BY seq LIMIT $2::integer
) AS o
ORDER BY o.show_id, o.seq

-- name: queued
-- These rows were handed to the webhooks; where there is no broker ($3), that is all there was to do.
UPDATE outbox o SET queued = true, published = o.published OR $3::boolean
FROM unnest($1::bigint[], $2::bigint[]) AS done (show_id, seq)
WHERE o.show_id = done.show_id AND o.seq = done.seq

-- name: broker_reads
-- From now on, events wait until the broker has them.
INSERT INTO event_readers (name) VALUES ('broker') ON CONFLICT DO NOTHING

-- name: broker_reads_no_more
DELETE FROM event_readers WHERE name = 'broker'

-- name: forgo_broker
-- Rows that a broker was to have, when there was one, are done without it: $1 of them.
WITH forgone AS (
    SELECT show_id, seq FROM outbox WHERE NOT published AND queued ORDER BY show_id, seq LIMIT $1::integer
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox o SET published = true FROM forgone WHERE o.show_id = forgone.show_id AND o.seq = forgone.seq

-- name: published
-- The broker has these rows.
UPDATE outbox o SET published = true
FROM unnest($1::bigint[], $2::bigint[]) AS done (show_id, seq)
WHERE o.show_id = done.show_id AND o.seq = done.seq

-- name: prune
-- Rows that are done and older than they are kept for, some at a time: of each show the first ones, up to the first that is
-- to stay. From show to show by the primary key: one row of each is read, and more only where that one is old.
-- $1: days. $2: how many, $3: how many of a show.
WITH RECURSIVE shows AS (
    (SELECT show_id, queued AND published AND at < now() - make_interval(secs => $1::float8 * 86400) AS begins_old
     FROM outbox ORDER BY show_id, seq LIMIT 1)
    UNION ALL
    SELECT o.show_id, o.begins_old
    FROM shows AS before CROSS JOIN LATERAL (
        SELECT show_id, queued AND published AND at < now() - make_interval(secs => $1::float8 * 86400) AS begins_old
        FROM outbox WHERE show_id > before.show_id ORDER BY show_id, seq LIMIT 1
    ) AS o
), old AS MATERIALIZED (
    SELECT o.show_id, o.seq
    FROM shows CROSS JOIN LATERAL (
        SELECT f.show_id, f.seq,
               bool_and(f.queued AND f.published AND f.at < now() - make_interval(secs => $1::float8 * 86400))
                   OVER (ORDER BY f.seq) AS all_old
        FROM (SELECT * FROM outbox WHERE outbox.show_id = shows.show_id ORDER BY seq LIMIT $3::integer) AS f
    ) AS o
    WHERE shows.begins_old AND o.all_old
    LIMIT $2::integer
)
DELETE FROM outbox o USING old WHERE o.show_id = old.show_id AND o.seq = old.seq

-- name: lag
-- How old the oldest event is that waits to be handed to webhooks, and to be published, in seconds: the first of each
-- show, from show to show by the indexes, at most $1 shows.
WITH RECURSIVE to_queue AS (
    (SELECT show_id, at FROM outbox WHERE NOT queued ORDER BY show_id, seq LIMIT 1)
    UNION ALL
    SELECT o.show_id, o.at
    FROM to_queue AS before CROSS JOIN LATERAL (
        SELECT show_id, at FROM outbox WHERE NOT queued AND show_id > before.show_id ORDER BY show_id, seq LIMIT 1
    ) AS o
), to_publish AS (
    (SELECT show_id, at FROM outbox WHERE NOT published ORDER BY show_id, seq LIMIT 1)
    UNION ALL
    SELECT o.show_id, o.at
    FROM to_publish AS before CROSS JOIN LATERAL (
        SELECT show_id, at FROM outbox WHERE NOT published AND show_id > before.show_id ORDER BY show_id, seq LIMIT 1
    ) AS o
)
SELECT extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM (SELECT at FROM to_queue LIMIT $1::integer) AS few))::float8
           AS to_queue,
       extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM (SELECT at FROM to_publish LIMIT $1::integer) AS few))::float8
           AS to_publish

-- name: prune_deliveries
-- Deliveries that are older than they are kept for, but those still to come, and all of webhooks that are gone.
-- $1: days. $2: how many.
WITH old AS (
    (SELECT show_id, webhook_id, seq FROM deliveries
     WHERE created_at < now() - make_interval(secs => $1::float8 * 86400)
       AND (status <> 'pending' OR webhook_id NOT IN (SELECT id FROM webhooks WHERE active))
     ORDER BY created_at LIMIT $2::integer)
    UNION ALL
    (SELECT d.show_id, d.webhook_id, d.seq FROM deliveries d
     WHERE d.webhook_id IN (SELECT DISTINCT q.webhook_id FROM webhook_queues q
                            WHERE NOT EXISTS (SELECT FROM webhooks w WHERE w.id = q.webhook_id))
     LIMIT $2::integer)
)
DELETE FROM deliveries d USING old
WHERE d.show_id = old.show_id AND d.webhook_id = old.webhook_id AND d.seq = old.seq

-- name: prune_queues
-- Queues of webhooks that are gone, once nothing of theirs is left, and idle ones that were last used long ago, which
-- would be made anew. $1: days. $2: how many.
WITH old AS (
    SELECT q.show_id, q.webhook_id FROM webhook_queues q
    WHERE (NOT EXISTS (SELECT FROM webhooks w WHERE w.id = q.webhook_id) OR q.due_at IS NULL)
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.show_id = q.show_id AND d.webhook_id = q.webhook_id)
      AND $1::float8 > 0
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_queues q USING old WHERE q.show_id = old.show_id AND q.webhook_id = old.webhook_id
