/** Pictures of every page, to be looked at: `npm run screenshots` writes them to web/screenshots. */
import type { Page } from "@playwright/test";
import type { Show } from "../src/shared/api/types";
import { actAs, chooseInList, confirmButton, expect, holdButton, test } from "./fixtures";

const FOLDER = "screenshots";
const LONG = "An Evening of Extraordinarily Long Titles and Consequences 60";

type House = Parameters<Parameters<typeof test>[2]>[0]["house"];

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(900); // tiles, fonts, fades
  await page.screenshot({ path: `${FOLDER}/${name}.png` });
}

const found = async (house: House, q: string): Promise<Show> => {
  const { items } = await house.server.call<{ items: Show[] }>(`/shows?q=${encodeURIComponent(q)}`);
  if (!items[0]) throw new Error(`no ${q}`);
  return items[0];
};

/** What the samples lack: a long name, a show that is sold out, an arena. */
async function furnish(house: House): Promise<void> {
  const { items } = await house.server.call<{ items: Show[] }>("/shows?q=quartet");
  if (items.some((show) => show.name === "Sold Out Quartet")) return;
  await house.makeShow({ name: LONG });
  const full = await house.makeShow({ name: "Sold Out Quartet", total_seats: 10 });
  await house.server.call("/bookings", { show_id: full.id, seat_count: 10, user_id: "everybody" });
  const sections = Array.from({ length: 20 }, (_, section) => ({
    name: `Block ${section + 1}`,
    rows: Array.from({ length: 25 }, (_, row) => ({ label: `${section + 1}/${row + 1}`, seats: 40 })),
  }));
  const arena = await house.makeShow({
    name: "Twenty Thousand",
    layout: { sections },
    max_seats_per_booking: 500,
  });
  for (let booking = 0; booking < 9; booking++)
    await house.server.call("/bookings", { show_id: arena.id, seat_count: 500, user_id: `fan ${booking}` });
}

async function crowd(house: House, show: Show, at: string): Promise<void> {
  const book = (body: object) =>
    house.server.call("/bookings", { show_id: show.id, user_id: `crowd ${at}`, ...body }).catch(() => {});
  for (let turn = 0; turn < 12; turn++) {
    await book({ seat_count: 1 + (turn % 6), confirm: turn % 5 > 0 });
    await book({ seat_count: 2, category: "Economy" });
  }
}

async function publicPages(page: Page, house: House, at: string): Promise<void> {
  const hall = await found(house, "Mahler");
  const coach = (await house.server.call<{ items: Show[] }>("/shows?kind=trip")).items[0];
  await crowd(house, hall, at);
  await page.goto("/");
  await shoot(page, `shows-${at}`);
  await page.goto("/?q=nothing+like+it&from=2035-03-01&until=2035-03-08&price=20&free=1");
  await shoot(page, `shows-empty-${at}`);
  await page.goto("/bookings");
  await shoot(page, `bookings-empty-${at}`);
  await page.goto(`/booking/${hall.id}`);
  await shoot(page, `map-${at}`);
  await page.locator("[data-seat]").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await shoot(page, `map-chosen-${at}`);
  await page.goto(`/booking/${(await found(house, "Sold Out")).id}`);
  await shoot(page, `sold-out-${at}`);
  await page.goto(`/booking/${(await found(house, "Extraordinarily")).id}`);
  await shoot(page, `long-name-${at}`);
  await page.goto(`/booking/${coach?.id}`);
  await shoot(page, `coach-${at}`);
  await chooseInList(page, "5", ["Seat 17,", "Seat 18,"]).catch(() => undefined);
  await shoot(page, `list-${at}`);
  if (await holdButton(page).isVisible()) await holdButton(page).click();
  else await page.getByRole("button", { name: /^Best/ }).click();
  await expect(confirmButton(page)).toBeVisible();
  await shoot(page, `held-${at}`);
  await confirmButton(page).click();
  await expect(page.getByRole("article")).toBeVisible();
  await shoot(page, `ticket-${at}`);
  await page.goto("/bookings");
  await shoot(page, `bookings-${at}`);
  await page.goto(`/booking/${(await found(house, "Twenty")).id}`);
  await shoot(page, `arena-${at}`);
  await page.getByRole("button", { name: "Closer" }).click();
  await page.waitForTimeout(400);
  await page.getByRole("button", { name: "Closer" }).click();
  await shoot(page, `arena-closer-${at}`);
}

/** Slow, and gone. */
async function badNetwork(page: Page, house: House, at: string): Promise<void> {
  const hall = await found(house, "Mahler");
  await page.route("**/api/shows**", () => undefined); // no answer, ever
  await page.goto("/");
  await shoot(page, `loading-${at}`);
  await page.goto(`/booking/${hall.id}`);
  await shoot(page, `map-loading-${at}`);
  await page.unroute("**/api/shows**");
  await page.route("**/api/shows**", (route) => route.abort());
  await page.goto("/");
  await page.waitForTimeout(4_000); // its retries
  await shoot(page, `offline-${at}`);
  await page.unroute("**/api/shows**");
  await page.goto(`/booking/${hall.id}`);
  await page.waitForTimeout(800);
  await page.context().setOffline(true);
  await page.route("**/api/**", (route) => route.abort());
  await page.getByRole("button", { name: /^Best/ }).click();
  await page.waitForTimeout(2_500);
  await shoot(page, `map-offline-${at}`);
  await page.unroute("**/api/**");
  await page.context().setOffline(false);
}

async function officePages(page: Page, house: House, at: string): Promise<void> {
  const hall = await found(house, "Mahler");
  await actAs(page, `Olga ${at}`, "admin");
  await page.goto("/admin");
  await shoot(page, `admin-${at}`);
  await page.goto(`/admin/shows/${hall.id}`);
  await expect(page.getByRole("row").nth(1)).toBeVisible();
  await page.waitForTimeout(900);
  await page.screenshot({ path: `${FOLDER}/admin-show-${at}.png`, fullPage: true });
  await page.goto("/admin/new");
  await shoot(page, `admin-new-${at}`);
  await page.getByText("A hall with sections").click();
  await page.waitForTimeout(900);
  await page.screenshot({ path: `${FOLDER}/admin-hall-${at}.png`, fullPage: true });
}

for (const theme of ["light", "dark"] as const) {
  for (const width of [360, 768, 1440]) {
    test(`every page, ${theme}, ${width} px`, async ({ page, house }) => {
      test.setTimeout(240_000);
      await furnish(house);
      await page.setViewportSize({ width, height: width < 700 ? 740 : 900 });
      await page.emulateMedia({ colorScheme: theme });
      const at = `${width}-${theme}`;
      await actAs(page, `Ada ${at}`);
      await publicPages(page, house, at);
      await badNetwork(page, house, at);
      await officePages(page, house, at);
    });
  }
}
