import { actAs, expect, test } from "./fixtures";

test("what is on is found by price, seats left and days, however long the programme is", async ({
  page,
  house,
}) => {
  const make = (name: string, day: string, price_cents: number, total_seats = 2) =>
    house.server.call<{ id: number }>("/shows", {
      name: `Season ${name}`,
      start_time: `2036-${day}T19:30:00Z`,
      total_seats,
      categories: [{ name: "Stalls", price_cents }],
    });
  // More than the list shows at once come before those that are looked for.
  await Promise.all(Array.from({ length: 50 }, (_, at) => make(`dear ${at}`, "05-02", 9_000)));
  await make("cheap", "06-14", 1_900);
  const full = await make("full", "06-15", 1_500);
  await make("late", "06-16", 2_000);
  await house.server.call("/bookings", { show_id: full.id, seat_count: 2, user_id: "two" });
  await actAs(page, "Peter");
  await page.goto("/?q=Season");
  const shows = page.getByRole("main").getByRole("listitem").getByRole("heading");
  await expect(shows).toHaveCount(48);

  await page.getByLabel("Price up to").fill("20");
  await expect(shows).toHaveText(["Season cheap", "Season full", "Season late"]);
  await page.getByLabel("Seats left only").check();
  await expect(shows).toHaveText(["Season cheap", "Season late"]);
  await page.getByLabel("to", { exact: true }).fill("2036-06-14");
  await expect(shows).toHaveText(["Season cheap"]);
  await page.getByLabel("From", { exact: true }).fill("2036-06-16"); // a first day after the last: that one day
  await expect(shows).toHaveText(["Season late"]);

  await page.reload(); // as a friend opens it who was sent the address
  await expect(shows).toHaveText(["Season late"]);
  await page.getByLabel("Price up to").fill("19");
  await expect(page.getByRole("heading", { name: "Nothing like that is on" })).toBeVisible();
  await page.getByRole("button", { name: "Show everything" }).click();
  await expect(shows.first()).toBeVisible();
});
