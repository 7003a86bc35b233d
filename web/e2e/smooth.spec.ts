import type { CDPSession, Page } from "@playwright/test";
import { actAs, expect, openHall, test } from "./fixtures";

/** Half of a frame at 60 Hz, of the main thread's own time: what others do on the machine meanwhile hardly counts. */
const FRAME_MS_MAX = 8;

interface TraceEvent {
  name: string;
  ph: string;
  ts: number;
  dur?: number;
  tdur?: number;
  tid: number;
  pid: number;
  args?: { name?: string };
}

/** Runs something while Chromium traces itself. */
async function traced(session: CDPSession, run: () => Promise<void>): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: {
      includedCategories: ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"],
    },
  });
  await run();
  const complete = new Promise<void>((resolve) => session.once("Tracing.tracingComplete", () => resolve()));
  await session.send("Tracing.end");
  await complete;
  return events;
}

/** The main thread's work between one animation frame and the next, in ms, for each frame. */
function workPerFrame(events: TraceEvent[]): number[] {
  const frames = events.filter(({ name }) => name === "FireAnimationFrame");
  const counts = new Map<string, number>();
  for (const { pid, tid } of frames) counts.set(`${pid}:${tid}`, (counts.get(`${pid}:${tid}`) ?? 0) + 1);
  const main = [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
  const onMain = events.filter(({ pid, tid }) => `${pid}:${tid}` === main);
  const starts = onMain
    .filter(({ name }) => name === "FireAnimationFrame")
    .map(({ ts }) => ts)
    .sort((a, b) => a - b);
  const tasks = onMain.filter(({ name, ph }) => ph === "X" && name === "RunTask");
  const work = new Array<number>(Math.max(0, starts.length - 1)).fill(0);
  for (const { ts, dur = 0, tdur } of tasks) {
    // A task belongs to the frame that it ends in: the one that runs the callback began just before it.
    const index = starts.findIndex((start, at) => ts + dur >= start && ts + dur < (starts[at + 1] ?? 0));
    if (index >= 0)
      work[index] =
        (work[index] ?? 0) +
        (tdur ?? dur) / 1000 /* of the thread itself: what others did meanwhile is not ours */;
  }
  return work;
}

const quantile = (values: number[], part: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? 0;

/** Zoom in and out, and pan around, as a hand does. Says what the main thread did for it. */
async function measured(page: Page, doing: string): Promise<number> {
  const box = await page.locator("[data-seat-map]").boundingBox();
  if (!box) throw new Error("no map");
  const session = await page.context().newCDPSession(page);
  const x = box.x + box.width / 2;
  const y = box.y + box.height / 2;
  const events = await traced(session, async () => {
    for (let round = 0; round < 3; round++) {
      await page.mouse.move(x, y);
      for (let step = 0; step < 14; step++) await page.mouse.wheel(0, round % 2 ? 110 : -110);
      await page.mouse.down();
      for (let step = 1; step <= 60; step++) {
        await page.mouse.move(x + Math.sin(step / 9) * 250, y + Math.cos(step / 7) * 160);
      }
      await page.mouse.up();
      await page.waitForTimeout(400);
    }
  });
  await session.detach();
  if (process.env.BREAKDOWN) process.stdout.write(`${JSON.stringify(breakdown(events))}\n`);
  const work = workPerFrame(events);
  const p95 = quantile(work, 0.95);
  process.stdout.write(
    `20,000 seats, ${doing}: main thread's work in a frame: p50 ${quantile(work, 0.5).toFixed(1)} ms, ` +
      `p95 ${p95.toFixed(1)} ms, most ${Math.max(...work).toFixed(1)} ms, of ${work.length} frames\n`,
  );
  expect(work.length).toBeGreaterThan(50);
  return p95;
}

/** What the main thread spent its time on, the most first. */
function breakdown(events: TraceEvent[]): [string, number][] {
  const main = events.find(({ name }) => name === "FireAnimationFrame");
  const by = new Map<string, number>();
  for (const { name, tid, pid, tdur = 0 } of events)
    if (tid === main?.tid && pid === main.pid) by.set(name, (by.get(name) ?? 0) + tdur / 1000);
  return [...by].sort((a, b) => b[1] - a[1]).slice(0, 22);
}

/** Twenty blocks of a thousand seats. */
const layout = {
  sections: Array.from({ length: 20 }, (_, section) => ({
    name: `Block ${section + 1}`,
    rows: Array.from({ length: 25 }, (_, row) => ({ label: `${section + 1}/${row + 1}`, seats: 40 })),
  })),
};

const drawnOf = async (page: Page) =>
  Number(await page.locator("[data-seat-map]").getAttribute("data-drawn"));

/** How many seats have been drawn once no more are. */
async function settled(page: Page): Promise<number> {
  let last = -1;
  await expect
    .poll(
      async () => {
        const before = last;
        last = await drawnOf(page);
        return last > 0 && last === before;
      },
      { intervals: [500] },
    )
    .toBe(true);
  return last;
}

test("20,000 seats: panning and zooming stay smooth, and a seat sold redraws one seat", async ({
  page,
  house,
}) => {
  const show = await house.makeShow({ name: "Twenty thousand", layout, max_seats_per_booking: 100 });
  await actAs(page, "Big");
  await openHall(page, show);
  await expect.poll(() => drawnOf(page)).toBeGreaterThanOrEqual(20_000); // all of it is there
  expect(await measured(page, "looking around")).toBeLessThanOrEqual(FRAME_MS_MAX);

  // Somebody else books: the map changes, and what is drawn for it is these seats, not the hall.
  await page.getByRole("button", { name: "The whole hall" }).click();
  const before = await settled(page);
  await house.server.call("/bookings", { show_id: show.id, seat_count: 10, user_id: "somebody" });
  await expect(page.getByText("19,990 seats free")).toBeVisible();
  await expect.poll(() => drawnOf(page)).toBeGreaterThan(before);
  expect((await drawnOf(page)) - before).toBeLessThanOrEqual(60); // ten seats, in the tiles that they lie in

  // Where seats were sold all over the hall, it is as smooth.
  for (let section = 1; section <= 20; section++) {
    const seats = [5, 10, 15, 20, 25].flatMap((row) =>
      [10, 20, 30].map((seat) => `${section}/${row}-${seat}`),
    );
    await house.server.call("/bookings", { show_id: show.id, seats, user_id: "somebody else" });
  }
  await expect(page.getByText("19,690 seats free")).toBeVisible();
  expect(await measured(page, "as it sells")).toBeLessThanOrEqual(FRAME_MS_MAX);
});

test("a hall is lettered in the page's own fonts", async ({ page, house }) => {
  const show = await house.makeShow({ name: "By the book", total_seats: 40 });
  await actAs(page, "Type");
  await openHall(page, show);
  await expect.poll(() => drawnOf(page)).toBeGreaterThanOrEqual(40);
  const loaded = () =>
    page.workers()[0]?.evaluate(() => {
      const { fonts } = self as unknown as { fonts: Iterable<FontFace> };
      return [...fonts]
        .filter(({ status }) => status === "loaded")
        .map(({ family }) => family.replace(/"/g, ""));
    });
  await expect.poll(loaded).toEqual(["Fraunces Variable", "Inter Variable"]); // and none that isn't needed
});

test("a hall is drawn though the script that draws it aside can't be had", async ({ page, house }) => {
  await page.route(/tile-worker/, (route) => route.abort());
  let asked = false;
  page.on("requestfailed", (request) => {
    asked ||= /tile-worker/.test(request.url());
  });
  const show = await house.makeShow({ name: "Without help", total_seats: 120 });
  await actAs(page, "Alone");
  await openHall(page, show);
  await expect.poll(() => drawnOf(page)).toBeGreaterThanOrEqual(120);
  expect(asked).toBe(true);
});
