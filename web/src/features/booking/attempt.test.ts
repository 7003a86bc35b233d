import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { begin, finish, unfinished } from "./attempt";

const WISH = { show_id: 1, seats: ["A-1"], confirm: false };
const json = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
const BOOKED = { id: "b", status: "PENDING", created_at: "2030-01-01T00:00:00Z" };

let sent: { key: string | null; body: string }[];
function answers(...all: (() => Response | Promise<Response>)[]) {
  sent = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
    const request = input as Request;
    sent.push({ key: request.headers.get("Idempotency-Key"), body: await request.clone().text() });
    const next = all[sent.length - 1];
    if (!next) throw new Error("asked too often");
    return next();
  });
}
const lost = () => Promise.reject(new TypeError("network"));

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
});
afterEach(() => vi.useRealTimers());

test("a lost answer is asked for again with the same key and words, until it comes", async () => {
  const busy = () => json(503, { code: "busy", detail: "wait", retry_after: 1 });
  answers(lost, busy, lost, () => json(201, BOOKED));
  const waiting: boolean[] = [];
  const asked = finish(begin(WISH), (now) => waiting.push(now));
  await vi.runAllTimersAsync();
  expect((await asked).id).toBe("b");
  expect(sent).toHaveLength(4);
  expect(new Set(sent.map(({ key }) => key)).size).toBe(1);
  expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
  expect(waiting).toEqual([true, true, true, false]);
  expect(unfinished(1)).toBeNull();
});

test("the key outlives the page while nothing was answered, and another wish has another", async () => {
  const first = begin(WISH);
  expect(unfinished(1)).toEqual(first);
  expect(begin(WISH).key).not.toBe(first.key);
});

test("a refusal is final: it is said, and its key is done with", async () => {
  answers(() => json(409, { code: "seats_taken", detail: "Seat A-1 is taken.", conflicts: ["A-1"] }));
  const asked = finish(begin(WISH), () => {});
  await expect(asked).rejects.toMatchObject({ code: "seats_taken", problem: { conflicts: ["A-1"] } });
  expect(sent).toHaveLength(1);
  expect(unfinished(1)).toBeNull();
});
