import { actAs, chooseInList, confirmButton, expect, holdButton, openHall, test } from "./fixtures";
import { Server } from "./server";

test("the answer to a booking is lost: asked again, it is one booking", async ({ page, house }) => {
  const show = await house.makeShow();
  await actAs(page, "Lou");
  await openHall(page, show);
  await chooseInList(page, "1", ["Seat 1,", "Seat 2,"]);
  const keys: (string | undefined)[] = [];
  await page.route("**/api/bookings", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 2) return route.continue();
    await route.fetch(); // it reaches the server, and the answer is lost on its way back
    await route.abort("connectionreset");
  });
  await holdButton(page).click();
  await expect(page.getByText("No answer yet. We keep asking")).toBeVisible();
  await expect(confirmButton(page)).toBeVisible();
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  const bookings = await house.bookingsOf("Lou");
  expect(bookings).toHaveLength(1);
  expect(bookings[0]?.seats).toEqual(["1", "2"]);

  // The same for confirming.
  let confirms = 0;
  await page.route("**/confirm", async (route) => {
    confirms += 1;
    if (confirms > 1) return route.continue();
    await route.fetch();
    await route.abort("connectionreset");
  });
  await confirmButton(page).click();
  await expect(page.getByRole("article").locator("[data-status=CONFIRMED]")).toBeVisible();
  expect(await house.bookingsOf("Lou")).toHaveLength(1);
});

test("the page is loaded anew while no answer has come: still one booking, and it is found", async ({
  page,
  house,
}) => {
  const show = await house.makeShow();
  await actAs(page, "Rea");
  await openHall(page, show);
  await chooseInList(page, "1", ["Seat 7,"]);
  await page.route("**/api/bookings", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  });
  await holdButton(page).click();
  await expect(page.getByText("No answer yet")).toBeVisible();
  await page.unroute("**/api/bookings");
  await page.reload();
  await expect(page.getByRole("heading", { name: /^Seat 7 is yours until/ })).toBeVisible();
  expect(await house.bookingsOf("Rea")).toHaveLength(1);
});

test("the server is restarted in the middle: the page waits, and ends in the right answer", async ({
  browser,
}) => {
  const server = await Server.start();
  try {
    const show = await server.call<{ id: number; name: string }>("/shows", {
      name: "Through it all",
      start_time: "2035-03-01T19:30:00Z",
      total_seats: 20,
    });
    const page = await (await browser.newContext({ baseURL: server.url })).newPage();
    await actAs(page, "Pat");
    await page.goto(`/booking/${show.id}`);
    await expect(page.getByText("20 seats free")).toBeVisible();
    await chooseInList(page, "1", ["Seat 4,"]);
    await server.down();
    await expect(page.getByText("Connection lost")).toBeVisible();
    await holdButton(page).click();
    await expect(page.getByText("No answer yet")).toBeVisible();
    await server.up();
    await expect(page.getByRole("heading", { name: /^Seat 4 is yours until/ })).toBeVisible({
      timeout: 40_000,
    });
    await expect(page.getByText("Connection lost")).toBeHidden({ timeout: 40_000 });
    await confirmButton(page).click();
    await expect(page.getByRole("article").locator("[data-status=CONFIRMED]")).toBeVisible();
    const { items } = await server.call<{ items: unknown[] }>("/bookings?user_id=Pat");
    expect(items).toHaveLength(1);
    await page.context().close();
  } finally {
    await server.end();
  }
});

test("where sign-in is real: a guest buys by name, and staff come in by token", async ({ browser }) => {
  const server = await Server.start("serve");
  try {
    const admin = server.token("admin", "ops");
    const show = await server.call<{ id: number }>(
      "/shows",
      { name: "For guests", start_time: "2035-03-01T19:30:00Z", total_seats: 20 },
      { Authorization: `Bearer ${admin}` },
    );
    const page = await (await browser.newContext({ baseURL: server.url })).newPage();
    await page.goto(`/booking/${show.id}`);
    await expect(page.getByText("20 seats free")).toBeVisible();
    await page.getByRole("button", { name: "Best 2 together" }).click();
    await page.getByLabel("Your name").fill("Gus");
    await page.getByRole("button", { name: "Go on" }).click();
    await confirmButton(page).click();
    await expect(page.getByRole("article").locator("[data-status=CONFIRMED]")).toBeVisible();
    await page.getByRole("button", { name: "Gus" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("button", { name: "I work here" }).click();
    await page.getByLabel("Token").fill(`${admin}x`);
    await page.getByRole("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page.getByText("This token is not valid, or no longer.")).toBeVisible();
    await page.getByLabel("Token").fill(admin);
    await page.getByRole("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page.getByRole("link", { name: "Box office" })).toBeVisible();
    await page.context().close();
  } finally {
    await server.end();
  }
});
