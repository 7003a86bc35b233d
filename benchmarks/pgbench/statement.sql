-- The same booking in one statement, which is a transaction of its own.
WITH locked AS (
    SELECT id FROM seats WHERE show_id = :show AND seat_no IN (:a, :b) AND status = 'AVAILABLE' FOR UPDATE
), booked AS (
    INSERT INTO bookings (show_id, user_id, status)
    SELECT :show, 'buyer-' || :k::text, 'CONFIRMED' WHERE (SELECT count(*) FROM locked) = 2
    RETURNING id
)
UPDATE seats SET status = 'BOOKED', booking_id = booked.id FROM booked WHERE seats.id IN (SELECT id FROM locked);
