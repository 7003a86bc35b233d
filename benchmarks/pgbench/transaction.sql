-- A booking as the predecessors make it.
BEGIN;
SELECT count(*) FILTER (WHERE status = 'AVAILABLE') AS free FROM (
    SELECT status FROM seats WHERE show_id = :show AND seat_no IN (:a, :b) FOR UPDATE) AS locked \gset
\if :free = 2
INSERT INTO bookings (show_id, user_id, status) VALUES (:show, 'buyer-' || :k::text, 'CONFIRMED') RETURNING id \gset
UPDATE seats SET status = 'BOOKED', booking_id = :id WHERE show_id = :show AND seat_no IN (:a, :b);
COMMIT;
\else
ROLLBACK;
\endif
