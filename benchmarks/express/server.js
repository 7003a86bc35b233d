// A peer to measure against: bookings by Express and pg as docs/benchmarks.md describes them. One transaction a booking,
// six statements, rows locked by SELECT … FOR UPDATE; no checks beyond what keeps a seat from being sold twice.
import express from 'express';
import pg from 'pg';

const pool = new pg.Pool({ max: Number(process.env.POOL_SIZE) }); // where to: PGHOST, PGPORT, PGUSER, PGDATABASE
const app = express();
app.disable('x-powered-by');
app.use(express.json());

app.get('/health', (_request, response) => response.json({ status: 'ok' }));

app.post('/shows/:id/book', async (request, response) => {
  const showId = Number(request.params.id);
  const { seat_nos: seatNos, user_id: userId, immediate_confirm: confirmed = true } = request.body;
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const { rows: seats } = await client.query(
      'SELECT id, seat_no, status FROM seats WHERE show_id = $1 AND seat_no = ANY($2::text[]) FOR UPDATE',
      [showId, seatNos],
    );
    const taken = seats.filter((seat) => seat.status !== 'AVAILABLE').map((seat) => seat.seat_no);
    if (seats.length !== seatNos.length || taken.length > 0) {
      await client.query('ROLLBACK');
      response.status(409).json({ error: 'Seats are not available', seats: taken });
      return;
    }
    const { rows } = await client.query(
      'INSERT INTO bookings (show_id, user_id, status, expires_at) VALUES ($1, $2, $3, $4) RETURNING *',
      [showId, userId, confirmed ? 'CONFIRMED' : 'PENDING', confirmed ? null : new Date(Date.now() + 120_000)],
    );
    const seatIds = seats.map((seat) => seat.id);
    await client.query('INSERT INTO booking_seats (booking_id, seat_id) SELECT $1, unnest($2::bigint[])', [
      rows[0].id,
      seatIds,
    ]);
    await client.query('UPDATE seats SET status = $1, booking_id = $2 WHERE id = ANY($3::bigint[])', [
      confirmed ? 'BOOKED' : 'RESERVED',
      rows[0].id,
      seatIds,
    ]);
    await client.query('COMMIT');
    response.status(201).json({ ...rows[0], seats: seatNos });
  } catch (error) {
    await client.query('ROLLBACK');
    response.status(500).json({ error: error.message });
  } finally {
    client.release();
  }
});

app.listen(Number(process.env.PORT), '127.0.0.1');
