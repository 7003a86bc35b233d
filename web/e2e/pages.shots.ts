/** Pictures of every page, to be looked at: `npm run screenshots` writes them to web/screenshots. */
import type { Page } from "@playwright/test";
import type { Show } from "../src/shared/api/types";
import { actAs, chooseInList, confirmButton, expect, holdButton, test } from "./fixtures";

const FOLDER = "screenshots";
const LONG = "An Evening of Extraordinarily Long Titles and Consequences";

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(1_200); // tiles, fonts, fades
  await page.screenshot({ path: `${FOLDER}/${name}.png` });
}

for (const theme of ["light", "dark"] as const) {
  for (const width of [360, 768, 1440]) {
    test(`every page, ${theme}, ${width} px`, async ({ page, house }) => {
      test.setTimeout(240_000);
      const { items } = await house.server.call<{ items: Show[] }>("/shows");
      const hall = items.find((show) => show.name.startsWith("Mahler"));
      const coach = items.find((show) => show.kind === "trip");
      if (!hall || !coach) throw new Error("no samples");
      const at = `${width}-${theme}`;
      const book = (body: object) =>
        house.server.call("/bookings", { user_id: `crowd ${at}`, ...body }).catch(() => undefined);
      for (let turn = 0; turn < 12; turn++) {
        await book({ show_id: hall.id, seat_count: 1 + (turn % 6), confirm: turn % 5 > 0 });
        await book({ show_id: hall.id, seat_count: 2, category: "Economy" });
      }
      if (!items.some((show) => show.name === LONG)) {
        await house.makeShow({ name: LONG });
        const full = await house.makeShow({ name: "Sold Out Quartet", total_seats: 10 });
        await book({ show_id: full.id, seat_count: 10 });
        const sections = Array.from({ length: 20 }, (_, section) => ({
          name: `Block ${section + 1}`,
          rows: Array.from({ length: 25 }, (_, row) => ({ label: `${section + 1}/${row + 1}`, seats: 40 })),
        }));
        await house.makeShow({ name: "Twenty Thousand", layout: { sections } });
      }
      await page.setViewportSize({ width, height: width < 700 ? 740 : 900 });
      await page.emulateMedia({ colorScheme: theme });
      await actAs(page, `Ada ${at}`);
      await page.goto("/");
      await shoot(page, `shows-${at}`);
      await page.goto("/?q=nothing+like+it");
      await shoot(page, `shows-empty-${at}`);
      await page.goto(`/booking/${hall.id}`);
      await shoot(page, `map-${at}`);
      await page.locator("[data-seat]").focus();
      await page.keyboard.press("Enter");
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
      await shoot(page, `map-chosen-${at}`);
      await page.goto(`/booking/${coach.id}`);
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
      await page.route("**/api/shows**", (route) => route.abort());
      await page.goto("/");
      await page.waitForTimeout(4_000); // its retries
      await shoot(page, `offline-${at}`);
      await page.unroute("**/api/shows**");
      const big = (await house.server.call<{ items: Show[] }>("/shows?q=twenty")).items[0];
      await page.goto(`/booking/${big?.id}`);
      await shoot(page, `arena-${at}`);
    });
  }
}
