import { type Browser, test as base, expect, type Page } from "@playwright/test";
import type { Booking, Show } from "../src/shared/api/types";
import { Server } from "./server";

interface NewShow {
  name?: string;
  total_seats?: number;
  layout?: unknown;
  categories?: unknown;
  hold_seconds?: number;
  max_seats_per_booking?: number;
}

interface House {
  server: Server;
  makeShow(show?: NewShow): Promise<Show>;
  bookingsOf(userId: string): Promise<Booking[]>;
}

/** A page that is watched: it must ask no other host, break no policy, and throw nothing. */
export function watch(page: Page, origin: string): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`threw: ${error}`));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob|about):/.test(url)) complaints.push(`asked ${url}`);
  });
  return complaints;
}

export const test = base.extend<{ watched: undefined }, { house: House }>({
  house: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright asks for a pattern
    async ({}, use) => {
      const server = await Server.start();
      await use({
        server,
        makeShow: (show = {}) =>
          server.call<Show>("/shows", {
            name: "An Evening",
            start_time: "2035-03-01T19:30:00Z",
            time_zone: "Europe/Vienna",
            ...(show.layout === undefined && { total_seats: 40 }),
            ...show,
          }),
        bookingsOf: async (userId) =>
          (await server.call<{ items: Booking[] }>(`/bookings?user_id=${encodeURIComponent(userId)}`)).items,
      });
      await server.end();
    },
    { scope: "worker" },
  ],
  baseURL: async ({ house }, use) => use(house.server.url),
  watched: [
    async ({ page, house }, use) => {
      const complaints = watch(page, house.server.url);
      await use(undefined);
      expect(complaints).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Be somebody, before the page is opened. */
export async function actAs(page: Page, name: string, role = "customer"): Promise<void> {
  await page.addInitScript(
    (visitor) => localStorage.setItem("rowlock.demo-visitor", visitor),
    JSON.stringify({ id: name, name, role }),
  );
}

/** Another browser, with somebody else before it. */
export async function visitor(browser: Browser, url: string, name: string): Promise<Page> {
  const page = await (await browser.newContext({ baseURL: url })).newPage();
  await actAs(page, name);
  return page;
}

/** The hall is open and its seats are known. */
export async function openHall(page: Page, show: Show): Promise<void> {
  await page.goto(`/booking/${show.id}`);
  await expect(page.getByRole("heading", { level: 1, name: show.name })).toBeVisible();
  await expect(page.getByText(/seats? free|sold out/).first()).toBeVisible();
}

/** Choose a seat by the list, where each seat is a button. */
export async function chooseInList(page: Page, row: string, seats: readonly string[]): Promise<void> {
  await page.getByRole("button", { name: "List" }).click();
  await page.locator("summary").getByText(`Row ${row}`, { exact: true }).click();
  for (const seat of seats) {
    await page.locator("li details[open]").getByRole("button", { name: seat }).click();
  }
}

export const holdButton = (page: Page) => page.getByRole("button", { name: /^Hold (this seat|these)/ });
export const confirmButton = (page: Page) => page.getByRole("button", { name: /^Confirm/ });
