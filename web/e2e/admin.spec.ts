import { readFile } from "node:fs/promises";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { actAs, expect, test } from "./fixtures";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const LAYOUT = {
  sections: [
    { name: "Stalls", rows: ["A", "B", "C", "D"].map((label) => ({ label, seats: 10 })) },
    { name: "Balcony", rows: [{ label: "K", category: "Balcony", seats: 8 }] },
  ],
};
const CATEGORIES = [
  { name: "Stalls", price_cents: 5000 },
  { name: "Balcony", price_cents: 3000 },
];

async function expectNothingFound(page: Page, where: string): Promise<void> {
  await page.evaluate(() =>
    Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))),
  );
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  expect(told, where).toEqual([]);
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(tooWide, `${where} is wider than the window`).toBeLessThanOrEqual(0);
}

const office = (page: Page) => actAs(page, "Office", "admin");
const live = (page: Page) => page.getByRole("status").filter({ hasText: /^Live$/ });
const figure = (page: Page, label: string) =>
  page
    .locator("dl > div")
    .filter({ has: page.getByText(label, { exact: true }) })
    .locator("dd");

async function book(
  house: { server: { call<T>(path: string, body?: unknown): Promise<T> } },
  show: number,
  body: unknown,
) {
  return house.server.call<{ id: string }>(`/shows/${show}/bookings`, body);
}

test("an admin types in a hall, and sees it sell", async ({ page, house }) => {
  await office(page);
  await page.goto("/admin");
  await expect(page.getByRole("heading", { level: 1, name: "Box office" })).toBeVisible();
  await page.keyboard.press("n");
  await expect(page.getByRole("heading", { level: 1, name: "A new show" })).toBeFocused();

  await page.getByRole("button", { name: "Make this show" }).click();
  await expect(page.getByLabel("Name", { exact: true })).toBeFocused(); // the first field that is not right
  await page.getByLabel("Name", { exact: true }).fill("La Traviata");
  await page.getByLabel("Begins", { exact: true }).fill("2035-03-01T19:30");
  await page.getByLabel("Time zone of the place").selectOption("Europe/Vienna");
  await page.getByText("A hall with sections").click();
  const preview = page.getByRole("complementary", { name: "Preview" });
  await expect(preview.getByRole("status")).toHaveText("400 seats");
  await page.getByLabel("Rows").first().fill("2");
  await expect(preview.getByRole("status")).toHaveText("160 seats");
  await page.getByLabel("First row").nth(1).fill("B");
  await expect(page.getByText("Row B is in Stalls too")).toBeVisible();
  await page.getByLabel("First row").nth(1).fill("K");
  await page.getByLabel("Wheelchair places").first().fill("A-1, A-2");
  await page.getByRole("button", { name: "Make this show" }).click();

  await expect(page.getByRole("heading", { level: 1, name: "La Traviata" })).toBeFocused();
  const id = Number(page.url().split("/").at(-1));
  const show = await house.server.call<{ start_time: string; total_seats: number }>(`/shows/${id}`);
  expect(show).toMatchObject({ start_time: "2035-03-01T18:30:00Z", total_seats: 160 });

  await expect(live(page)).toBeVisible();
  await book(house, id, { seats: ["A-7", "A-8"], user_id: "ada", customer_name: "Ada Lovelace" });
  await expect(figure(page, "Sold")).toHaveText("2");
  await expect(figure(page, "Revenue")).toHaveText("€136");
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Search bookings" })).toBeFocused();
  await page.keyboard.type("lovelace");
  await expect(page.getByRole("row", { name: /Ada Lovelace.*A-7, A-8.*€136.*Booked/ })).toBeVisible();
  await page.getByRole("searchbox", { name: "Search bookings" }).fill("a-9");
  await expect(page.getByText("No booking is like that.")).toBeVisible();
});

test("a rectangle of seats is taken off sale, and put back", async ({ page, house }) => {
  const show = await house.makeShow({ name: "In blocks", layout: LAYOUT, categories: CATEGORIES });
  await book(house, show.id, { seats: ["B-4"], user_id: "ada" });
  await office(page);
  await page.goto(`/admin/shows/${show.id}`);
  await expect(live(page)).toBeVisible();

  // By pointer: all of the map.
  await page.keyboard.press("r");
  await expect(page.getByRole("button", { name: "Rectangle" })).toHaveAttribute("aria-pressed", "true");
  const box = await page.locator("[data-seat-map]").boundingBox();
  if (!box) throw new Error("no map");
  await page.mouse.move(box.x + 4, box.y + box.height / 4);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 3 });
  await page.mouse.move(box.x + box.width - 90, box.y + box.height - 50, { steps: 3 });
  await page.mouse.up();
  await expect(page.getByRole("heading", { name: /^\d+ seats selected$/ })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("heading", { name: "No seat selected" })).toBeVisible();

  // By keyboard: from corner to corner. The sold seat in the middle stays sold.
  await page.getByLabel("From seat").fill("b-3");
  await page.getByLabel("To seat").fill("C-5");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "6 seats selected" })).toBeVisible();
  await expect(page.getByText("1 held or sold")).toBeVisible();
  await page.getByRole("heading", { level: 1 }).click();
  await page.keyboard.press("b");
  const notices = page.getByRole("region", { name: "Notices" });
  await expect(notices).toContainText("5 seats taken off sale.");
  const letters = async () =>
    (await house.server.call<{ statuses: string }>(`/shows/${show.id}/availability`)).statuses;
  expect([...(await letters())].filter((letter) => letter === "X")).toHaveLength(5);
  await notices.getByRole("button", { name: "Undo" }).click();
  await expect(notices).toContainText("5 seats put back on sale.");
  expect(await letters()).not.toContain("X");
});

test("seats are booked for a customer, and given back", async ({ page, house }) => {
  const show = await house.makeShow({ name: "At the counter", layout: LAYOUT, categories: CATEGORIES });
  await office(page);
  await page.goto(`/admin/shows/${show.id}`);
  await expect(live(page)).toBeVisible();
  await page.getByLabel("From seat").fill("K-1");
  await page.getByLabel("To seat").fill("K-2");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Book 2 seats for …" }).click();
  const dialog = page.getByRole("dialog", { name: "Book 2 seats" });
  await dialog.getByLabel("Name").fill("Grace Hopper");
  await dialog.getByLabel("E-mail").fill("grace@example.org");
  await dialog.getByRole("button", { name: "Book 2 seats for €60" }).click();
  await expect(dialog).toBeHidden();
  const row = page.getByRole("row", { name: /Grace Hopper.*K-1, K-2.*Booked/ });
  await expect(row).toBeVisible();
  await row.getByRole("button", { name: "Cancel the booking of Grace Hopper" }).click();
  const sure = page.getByRole("dialog", { name: "Cancel this booking?" });
  await expect(sure).toContainText("€60 are to be paid back");
  await sure.getByRole("button", { name: "Give back 2 seats" }).click();
  await expect(page.getByRole("row", { name: /Grace Hopper.*Cancelled/ })).toBeVisible();
});

test("cancelling a show says what it does, and does it", async ({ page, house }) => {
  const show = await house.makeShow({ name: "Not to be", layout: LAYOUT, categories: CATEGORIES });
  for (const seat of ["A-1", "A-2", "A-3"])
    await book(house, show.id, { seats: [seat], user_id: `of ${seat}` });
  await office(page);
  await page.goto(`/admin/shows/${show.id}`);
  await expect(figure(page, "Bookings")).toHaveText("3");
  await page.getByRole("button", { name: "Cancel the show" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel Not to be?" });
  await expect(dialog).toContainText("This cancels 3 bookings, worth €150.");
  await dialog.getByRole("button", { name: "Keep the show" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: "Cancel the show" })).toBeFocused();
  await page.getByRole("button", { name: "Cancel the show" }).click();
  await dialog.getByRole("button", { name: "Cancel the show and 3 bookings" }).click();
  await expect(page.getByText("Cancelled", { exact: true }).first()).toBeVisible();
  const [booking] = await house.bookingsOf("of A-1");
  expect(booking).toMatchObject({ status: "CANCELLED", reason: "show_cancelled" });
});

test("a show is edited, and the same hall sold another night", async ({ page, house }) => {
  const show = await house.makeShow({ name: "First night", layout: LAYOUT, categories: CATEGORIES });
  await office(page);
  await page.goto(`/admin/shows/${show.id}`);
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("dialog").getByLabel("Name", { exact: true }).fill("Opening night");
  await page.getByRole("button", { name: "Keep the changes" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Opening night" })).toBeVisible();
  await page.getByRole("link", { name: "Duplicate" }).click();
  await expect(page.getByLabel("Begins", { exact: true })).toHaveValue("2035-03-08T20:30"); // a week later, by the clock of the place
  await page.getByLabel("Name", { exact: true }).fill("Second night");
  await page.getByRole("button", { name: "Make this show too" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Second night" })).toBeVisible();
  const id = page.url().split("/").at(-1);
  const layouts = await Promise.all(
    [show.id, id].map((of) => house.server.call<object>(`/shows/${of}/layout`)),
  );
  expect(layouts[0]).toEqual(layouts[1]);
});

test("the bookings can be taken along as a table", async ({ page, house }) => {
  const show = await house.makeShow({ name: "On paper", layout: LAYOUT, categories: CATEGORIES });
  await book(house, show.id, { seats: ["A-1", "A-2"], user_id: "ada", customer_name: "=1+1" });
  await office(page);
  await page.goto(`/admin/shows/${show.id}`);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: /^Export all/ }).click(),
  ]);
  expect(download.suggestedFilename()).toBe(`bookings-of-show-${show.id}.csv`);
  const text = await readFile(await download.path(), "utf8");
  expect(text).toContain(",CONFIRMED,,ada,'=1+1,,A-1 A-2,2,10000,EUR,");

  // What was searched for is what is taken along.
  await book(house, show.id, { seats: ["A-4"], user_id: "bob" });
  await page.getByRole("searchbox", { name: "Search bookings" }).fill("bo");
  await expect(page.getByRole("row", { name: /bob/ })).toBeVisible();
  await expect(page.getByRole("row", { name: /=1\+1/ })).toBeHidden();
  const [some] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: /^Export these/ }).click(),
  ]);
  const rows = (await readFile(await some.path(), "utf8")).trim().split("\r\n");
  expect(rows.length).toBe(2);
  expect(rows[1]).toContain(",bob,");
});

test("customers are kept out of the box office, kindly", async ({ page }) => {
  await actAs(page, "Maya");
  await page.goto("/admin");
  await expect(page.getByRole("heading", { name: "The box office is for staff" })).toBeVisible();
  await page.getByRole("button", { name: "Sign in as staff" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in as staff" });
  await expect(dialog.getByLabel("Role")).toHaveValue("admin");
  await dialog.getByLabel("Your name").fill("Olga");
  await dialog.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Box office" })).toBeVisible();
});

for (const theme of ["light", "dark"] as const) {
  for (const width of [360, 1440]) {
    test(`nothing to find in the box office: ${theme}, ${width} px`, async ({ page, house }) => {
      test.slow(); // axe takes seconds a page, and there are six
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      const name = "A name of sixty letters, which is as long as anybody needs it";
      const show = await house.makeShow({ name, layout: LAYOUT, categories: CATEGORIES });
      await book(house, show.id, { seats: ["A-1"], user_id: "ada", customer_name: name });
      await book(house, show.id, { seats: ["A-2"], user_id: "bob", confirm: false });
      await office(page);
      await page.goto("/admin");
      await expect(page.getByRole("link", { name }).first()).toBeVisible();
      await expectNothingFound(page, "the overview");
      await page.getByRole("searchbox").fill("there is no such thing");
      await expect(page.getByRole("heading", { name: "No show goes by that" })).toBeVisible();
      await expectNothingFound(page, "nothing found");
      await page.goto("/admin/new");
      await page.getByText("A hall with sections").click();
      await page.getByLabel("Rows").first().fill("none");
      await page.getByRole("button", { name: "Make this show" }).click();
      await expectNothingFound(page, "a new show, with mistakes");
      await page.goto(`/admin/shows/${show.id}`);
      await expect(live(page)).toBeVisible();
      await expect(page.getByRole("row", { name: /ada|bob/ }).first()).toBeVisible();
      await page.getByLabel("From seat").fill("B-1");
      await page.getByLabel("To seat").fill("B-3");
      await page.getByRole("button", { name: "Select them" }).click();
      await expectNothingFound(page, "a show");
      await page.getByRole("button", { name: "Edit" }).click();
      await expectNothingFound(page, "editing");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Cancel the show" }).click();
      await expectNothingFound(page, "cancelling");
    });
  }
}
