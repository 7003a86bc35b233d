-- What operators are told of the database.

-- name: overdue
-- How long the oldest hold is past its time that nobody has swept, in seconds; null: none is.
SELECT extract(epoch FROM clock_timestamp() - min(release_at))::float8 FROM bookings WHERE release_at <= now()

-- name: replication
-- How many standbys there are, and how far behind the last of them is: in seconds, by what it says itself, which is nothing
-- while all is replayed; and in bytes of the log. A role without pg_monitor sees how many there are, and no more.
SELECT count(*) AS standbys, coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 AS seconds,
       coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8 AS bytes
FROM pg_stat_replication
