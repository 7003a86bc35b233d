-- name: stay
-- This transaction may be idle for so long from now. $1: milliseconds. It has no transaction id by this, and so keeps
-- nothing from being vacuumed.
SELECT set_config('idle_in_transaction_session_timeout', $1::text, true)
