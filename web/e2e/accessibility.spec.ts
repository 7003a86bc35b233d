import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { actAs, chooseInList, confirmButton, expect, holdButton, openHall, test } from "./fixtures";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function expectNothingFound(page: Page, where: string): Promise<void> {
  await page.evaluate(() =>
    Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))),
  );
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  expect(told, where).toEqual([]);
}

for (const theme of ["light", "dark"] as const) {
  for (const width of [360, 1280]) {
    test(`nothing to find on any page: ${theme}, ${width} px`, async ({ page, house }) => {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      const show = await house.makeShow({ name: "For all" });
      await actAs(page, `Ax ${theme} ${width}`);
      await page.goto("/");
      await expect(page.getByRole("listitem").first()).toBeVisible();
      await expectNothingFound(page, "what is on");
      await page.goto("/?q=there+is+no+such+thing");
      await expect(page.getByRole("heading", { name: "Nothing like that is on" })).toBeVisible();
      await expectNothingFound(page, "nothing found");
      await page.goto("/bookings");
      await expect(page.getByRole("heading", { name: "No bookings yet" })).toBeVisible();
      await expectNothingFound(page, "no bookings");
      await openHall(page, show);
      await expectNothingFound(page, "the map");
      await chooseInList(page, "1", ["Seat 1,"]);
      await expectNothingFound(page, "the list, a seat chosen");
      await holdButton(page).click();
      await expect(confirmButton(page)).toBeVisible();
      await expectNothingFound(page, "held");
      await confirmButton(page).click();
      await expect(page.getByRole("article")).toBeVisible();
      await expectNothingFound(page, "the ticket");
      await page.getByRole("button", { name: "Cancel this booking" }).click();
      await expectNothingFound(page, "a dialog");
      await page.goto("/bookings");
      await expect(page.locator("[data-status]").first()).toBeVisible();
      await expectNothingFound(page, "my bookings");
      await page.goto("/nowhere");
      await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
      await expectNothingFound(page, "nothing here");
    });
  }
}

test("a phone: nothing is wider than the screen, and a seat can be bought by touch", async ({
  browser,
  house,
}) => {
  const show = await house.makeShow({
    name: "A name of sixty letters, which is as long as anybody needs it to be",
    layout: { sections: [{ name: "Hall", rows: [..."ABCDEFGHJK"].map((label) => ({ label, seats: 24 })) }] },
  });
  const context = await browser.newContext({
    baseURL: house.server.url,
    viewport: { width: 360, height: 740 },
    hasTouch: true,
    isMobile: true,
    deviceScaleFactor: 2,
  });
  const page = await context.newPage();
  await actAs(page, "Tim");
  const tooWide = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.goto("/");
  await expect(page.getByRole("listitem").first()).toBeVisible();
  expect(await tooWide()).toBeLessThanOrEqual(0);
  await openHall(page, show);
  expect(await tooWide()).toBeLessThanOrEqual(0);

  // A seat is smaller than a finger: the first touch comes nearer, the second chooses.
  const map = page.locator("[data-seat-map]");
  const before = Number(await map.getAttribute("data-scale"));
  const box = await page.locator("[data-seat]").boundingBox();
  if (!box) throw new Error("no seat");
  await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
  await expect.poll(async () => Number(await map.getAttribute("data-scale"))).toBeGreaterThan(before * 1.5);
  await expect(page.getByRole("heading", { name: "1 seat chosen" })).toBeHidden();
  await expect
    .poll(async () => {
      const area = await map.boundingBox();
      if (!area) return false;
      await page.touchscreen.tap(area.x + area.width / 2, area.y + area.height / 2);
      return page.getByRole("heading", { name: "1 seat chosen" }).isVisible();
    })
    .toBe(true);
  await holdButton(page).tap();
  await confirmButton(page).tap();
  await expect(page.getByRole("article")).toContainText("Tim");
  expect(await tooWide()).toBeLessThanOrEqual(0);
  await page.goto("/bookings");
  await expect(page.locator("[data-status]")).toBeVisible();
  expect(await tooWide()).toBeLessThanOrEqual(0);
  await context.close();
});
