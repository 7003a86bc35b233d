import { actAs, chooseInList, confirmButton, expect, holdButton, openHall, test, visitor } from "./fixtures";

const CATEGORIES = [
  { name: "Stalls", price_cents: 9800 },
  { name: "Balcony", price_cents: 4500 },
];
const LAYOUT = {
  sections: [
    { name: "Stalls", rows: ["A", "B", "C"].map((label) => ({ label, seats: 12 })) },
    { name: "Balcony", rows: [{ label: "K", category: "Balcony", seats: 10 }] },
  ],
};

test("a purchase, from what is on to the ticket", async ({ page, house }) => {
  const show = await house.makeShow({ name: "Cosi fan tutte", layout: LAYOUT, categories: CATEGORIES });
  await page.goto("/");
  await page.getByRole("searchbox").fill("cosi fan");
  await page.getByRole("link", { name: "Cosi fan tutte" }).click();
  await expect(page.getByRole("heading", { level: 1, name: show.name })).toBeFocused();

  // The map itself: press the seat that the keyboard's button lies on, and the one beside it.
  const cursor = page.locator("[data-seat]");
  await expect(cursor).toHaveAttribute("aria-label", /^Row A, seat 6, Stalls, Stalls, €98, free$/);
  const box = await cursor.boundingBox();
  if (!box) throw new Error("no seat to press");
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.click(box.x + box.width / 2 + box.width * (24 / 18), box.y + box.height / 2);
  await expect(page.getByRole("heading", { name: "2 seats chosen" })).toBeVisible();
  await expect(page.getByLabel("Your seats")).toContainText("€196");

  // Nobody has said who they are: the name is asked for, and it goes on from there.
  await holdButton(page).click();
  await page.getByLabel("Your name").fill("Maya");
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("heading", { name: /^Row A, seats 6 and 7 are yours until/ })).toBeFocused();
  await expect(page.getByRole("timer")).toBeVisible();
  await confirmButton(page).click();

  await expect(page).toHaveURL(/\/bookings\/[0-9a-f-]{36}$/);
  await expect(page.getByRole("article")).toContainText("Row A, seats 6 and 7");
  await expect(page.getByRole("article").locator("[data-status=CONFIRMED]")).toBeVisible();
  await expect(page.getByRole("link", { name: "Add to calendar" })).toHaveAttribute("href", /calendar\.ics$/);
  const [booking] = await house.bookingsOf("Maya");
  expect(booking).toMatchObject({ status: "CONFIRMED", seats: ["A-6", "A-7"], customer_name: "Maya" });

  await page.getByRole("link", { name: "My bookings" }).first().click();
  await expect(page.getByRole("heading", { level: 1, name: "My bookings" })).toBeFocused();
  await page.getByRole("link", { name: show.name }).click();
  await page.getByRole("button", { name: "Cancel this booking" }).click();
  await page.getByRole("button", { name: "Give 2 seats back" }).click();
  await expect(page.getByRole("article").locator("[data-status=CANCELLED]")).toBeVisible();
  await expect(page.getByText("This booking was cancelled.")).toBeVisible();
});

test("where nothing is free, nothing is offered: held may come back, sold is sold", async ({
  page,
  house,
}) => {
  const show = await house.makeShow({ name: "Full", total_seats: 4 });
  const hold = await house.server.call<{ id: string }>("/bookings", {
    show_id: show.id,
    user_id: "ann",
    seat_count: 4,
    confirm: false,
  });
  await actAs(page, "Ida");
  await page.goto(`/booking/${show.id}`);
  await expect(page.getByRole("heading", { name: "All held just now; some may come back" })).toBeVisible();
  await expect(page.getByRole("button", { name: /^Best/ })).toBeHidden();
  await house.server.call(`/bookings/${hold.id}/confirm`, {});
  await expect(page.getByRole("heading", { name: "Sold out" })).toBeVisible();
  await house.server.call(`/bookings/${hold.id}/cancel`, {});
  await expect(page.getByRole("button", { name: /^Best/ })).toBeVisible();
});

test("the best seats together, of a category, and given back", async ({ page, house }) => {
  const show = await house.makeShow({ layout: LAYOUT, categories: CATEGORIES });
  await actAs(page, "Ida");
  await openHall(page, show);
  await page.getByRole("button", { name: "One seat more" }).click();
  await page.getByRole("combobox", { name: "Price category" }).selectOption({ label: "Balcony, €45" });
  await page.getByRole("button", { name: "Best 3 together" }).click();
  await expect(
    page.getByRole("heading", { name: /^Row K, seats \d+, \d+ and \d+ are yours until/ }),
  ).toBeVisible();
  await page.reload(); // a hold is found again
  await expect(page.getByRole("timer")).toBeVisible();
  await page.getByRole("button", { name: "Give them back" }).click();
  await expect(page.getByRole("heading", { name: "3 seats chosen" })).toBeVisible();
  expect((await house.bookingsOf("Ida"))[0]).toMatchObject({ status: "FAILED", reason: "released" });
});

test("two at one seat: one has it, the other is told at once and takes the next", async ({
  browser,
  page,
  house,
}) => {
  const show = await house.makeShow({ name: "Both want it" });
  const other = await visitor(browser, house.server.url, "Bob");
  await actAs(page, "Ann");
  await openHall(page, show);
  await openHall(other, show);
  for (const of of [page, other]) await chooseInList(of, "2", ["Seat 15,"]);
  await holdButton(page).click();
  await expect(confirmButton(page)).toBeVisible();

  const notice = other.getByLabel("Notices");
  await expect(notice).toContainText(/Seat 15 was just taken\. \d+ in the same row is free\./);
  await expect(other.getByRole("button", { name: /^Seat 15, .*held by somebody/ })).toBeDisabled();
  await notice.getByRole("button", { name: /^Take/ }).click();
  await holdButton(other).click();
  await expect(confirmButton(other)).toBeVisible();
  const [anns] = await house.bookingsOf("Ann");
  const [bobs] = await house.bookingsOf("Bob");
  expect(anns?.seats).toEqual(["15"]);
  expect(bobs?.status).toBe("PENDING");
  expect(bobs?.seats).not.toContain("15");
  await other.context().close();
});

test("whoever sees an old map is refused by the server, in words, and offered others", async ({
  page,
  house,
}) => {
  const show = await house.makeShow();
  await actAs(page, "Late");
  const old = await house.server.call<{ statuses: string }>(`/shows/${show.id}/availability`);
  const body = `event: snapshot\nid: 0\ndata: ${JSON.stringify({ ...old, show_id: show.id })}\n\n`;
  await page.route("**/live", (route) => route.fulfill({ contentType: "text/event-stream", body }));
  await house.server.call("/bookings", { show_id: show.id, seats: ["5"], user_id: "first" });
  await page.goto(`/booking/${show.id}`);
  await chooseInList(page, "1", ["Seat 5,"]);
  await holdButton(page).click();
  await expect(page.getByLabel("Notices")).toContainText(
    /Seat 5 was just taken\. \d+ in the same row is free/,
  );
  await expect(holdButton(page)).toBeHidden();
});

test("a hold that ran out: said, explained, and a way back to the seats", async ({ page, house }) => {
  const show = await house.makeShow({ hold_seconds: 2 });
  await actAs(page, "Slow");
  await openHall(page, show);
  await chooseInList(page, "1", ["Seat 3,", "Seat 4,"]);
  await holdButton(page).click();
  await expect(page.getByRole("heading", { name: "The time for these seats is over" })).toBeFocused();
  await expect(page.getByText("the seats went back on sale")).toBeVisible();
  await page.getByRole("button", { name: "Back to the seats" }).click();
  await expect(page.getByRole("button", { name: "Best 2 together" }).or(holdButton(page))).toBeVisible();
  expect((await house.bookingsOf("Slow"))[0]).toMatchObject({ status: "FAILED", reason: "hold_expired" });
});

test("as many as one booking takes, and no more", async ({ page, house }) => {
  const show = await house.makeShow({ max_seats_per_booking: 2 });
  await actAs(page, "Max");
  await openHall(page, show);
  await chooseInList(page, "1", ["Seat 1,", "Seat 2,", "Seat 3,"]);
  await expect(page.getByLabel("Notices")).toContainText("One booking takes up to 2 seats");
  await expect(page.getByRole("heading", { name: "2 seats chosen" })).toBeVisible();
});

test("by keyboard alone", async ({ page, house }) => {
  const show = await house.makeShow({ layout: LAYOUT, categories: CATEGORIES });
  await actAs(page, "Kay");
  await openHall(page, show);
  const seat = page.locator("[data-seat]");
  const tab = async (until: () => Promise<boolean>) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press("Tab");
      if (await until()) return;
    }
    throw new Error("not reached by Tab");
  };
  const focused = (name: RegExp) => async () =>
    name.test(
      (await page.evaluate(
        () => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent,
      )) ?? "",
    );
  await tab(focused(/^Row A, seat 6/));
  await page.keyboard.press("ArrowDown");
  await expect(seat).toBeFocused();
  await expect(seat).toHaveAttribute("aria-label", /^Row B, seat 6/);
  await page.keyboard.press("Enter");
  await expect(seat).toHaveAttribute("aria-pressed", "true");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await page.keyboard.press("End");
  await expect(seat).toHaveAttribute("aria-label", /^Row B, seat 12/);
  await page.keyboard.press("PageDown");
  await expect(seat).toHaveAttribute("aria-label", /^Row K, seat 1, Balcony/);
  await tab(focused(/^Hold these 2 seats/));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: /^Row B, seats 6 and 7 are yours/ })).toBeFocused();
  await tab(focused(/^Confirm/));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("article").locator("[data-status=CONFIRMED]")).toBeVisible();
});
