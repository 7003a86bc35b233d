-- name: cluster
-- The number that a cluster is given when it is made, and that its standbys share.
SELECT system_identifier::text FROM pg_control_system()

-- name: database
-- The number of this database within its cluster.
SELECT oid::text FROM pg_database WHERE datname = current_database()
